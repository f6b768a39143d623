//! Tells src/simd/scalar.rs what the target's FPU has. With the feature `header` it also rewrites
//! include/vesde.h from the C ABI's source; without it, cbindgen is not compiled.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    let (sqrt, fma) = fpu(&target);
    for (has, name) in [(sqrt, "vesde_sqrt"), (fma, "vesde_fma")] {
        if has {
            println!("cargo:rustc-cfg={name}");
        }
    }
    #[cfg(feature = "header")]
    header();
}

/// Whether floats have a square root and a fused operation on a target whose name only says so: stable
/// Rust shows no features of these FPUs, and to it those of Cortex-M are like armv7's, which cannot fuse.
fn fpu(target: &str) -> (bool, bool) {
    let arch = target.split('-').next().unwrap_or_default();
    let extensions = arch.strip_prefix("riscv32").or(arch.strip_prefix("riscv64"));
    if arch.starts_with("arm") || arch.starts_with("thumb") {
        let cortex_m = arch.starts_with("thumbv7em") || arch.starts_with("thumbv8m.main");
        let v7_android = arch.contains("v7") && target.contains("android");
        let hard = target.ends_with("eabihf");
        (hard || v7_android, hard && cortex_m)
    } else {
        let has = extensions.is_some_and(|letters| letters.contains(['f', 'g']))
            || arch == "s390x" && !target.ends_with("softfloat");
        (has, has)
    }
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
    std::fs::write("include/vesde.h", header).expect("include/vesde.h is written");
}
