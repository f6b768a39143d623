//! With the feature `header`: rewrites include/vesde.h from the C ABI's source. Without it: nothing, and cbindgen is
//! not compiled.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "header")]
    header();
}

#[cfg(feature = "header")]
fn header() {
    for path in ["src", "cbindgen.toml"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let config = cbindgen::Config::from_file("cbindgen.toml").expect("cbindgen.toml is read");
    let mut header = Vec::new();
    cbindgen::Builder::new()
        .with_crate(root)
        .with_config(config)
        .generate()
        .expect("the C ABI's source is parsed")
        .write(&mut header);
    let mut header = String::from_utf8(header).expect("cbindgen writes UTF-8");
    // The documentation is written once, for Rust; these are the words that a C reader would stumble over.
    for (rust, c) in [
        ("# Safety", "Pointers:"),
        ("`f32`", "float"),
        ("`f64`", "double"),
        ("0..=1", "0 to 1"),
        ("// ```c\n", "//\n"),
        ("// ```\n", "//\n"),
        ("//\n//\n", "//\n"),
    ] {
        header = header.replace(rust, c);
    }
    // Sources may be read-only, where documentation is built with all features.
    if std::fs::read_to_string("include/vesde.h").ok().as_ref() != Some(&header) {
        std::fs::write("include/vesde.h", header).expect("include/vesde.h is written");
    }
}
