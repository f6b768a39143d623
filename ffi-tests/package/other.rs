//! Some other static library in Rust, with std.

/// The length of a string that std has formatted.
#[unsafe(no_mangle)]
pub extern "C" fn other_length(number: u32) -> usize {
    format!("{number}").len()
}
