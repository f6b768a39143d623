//! Tells src/simd/scalar.rs what the target's FPU has. With the feature `header` it also rewrites
//! include/vesde.h from the C ABI's source; without it, cbindgen is not compiled.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    for cfg in fpu(&target) {
        println!("cargo:rustc-cfg={cfg}");
    }
    #[cfg(feature = "header")]
    header();
}

/// What is known of the FPU of a target whose name only says so: stable Rust shows no features of these, and
/// to it those of Cortex-M are like armv7's, which has no fused operation.
fn fpu(target: &str) -> Vec<&'static str> {
    let arch = target.split('-').next().unwrap_or_default();
    let extensions = arch.strip_prefix("riscv32").or(arch.strip_prefix("riscv64"));
    let (sqrt, fma, f64);
    if let Some(letters) = extensions {
        sqrt = letters.contains(['f', 'g']);
        fma = sqrt;
        f64 = !letters.starts_with(['i', 'e']) || letters.contains(['d', 'g']);
    } else if arch.starts_with("arm") || arch.starts_with("thumb") {
        let cortex_m = ["v6m", "v7m", "v7em", "v8m"].iter().any(|name| arch.contains(name));
        sqrt = target.ends_with("eabihf") || arch.contains("v7") && target.contains("android");
        fma = sqrt && cortex_m;
        f64 = sqrt && !cortex_m;
    } else {
        sqrt = arch == "s390x" && !target.ends_with("softfloat");
        fma = sqrt;
        f64 = true;
    }
    [(sqrt, "vesde_sqrt"), (fma, "vesde_fma"), (!f64, "vesde_soft_f64")]
        .into_iter()
        .filter_map(|(has, name)| has.then_some(name))
        .collect()
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
