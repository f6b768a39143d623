//! `cfg(poison)`: AddressSanitizer is there, and can be told which memory nobody may touch.

fn main() {
    let sanitizers = std::env::var("CARGO_CFG_SANITIZE").unwrap_or_default();
    if sanitizers.split(',').any(|name| name == "address") {
        println!("cargo::rustc-cfg=poison");
    }
}
