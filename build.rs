//! Tells src/simd/scalar.rs what the target's FPU has. With the feature `header` it also rewrites
//! include/vesde.h from the C ABI's source; without it, cbindgen is not compiled.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for cfg in fpu() {
        println!("cargo:rustc-cfg={cfg}");
    }
    #[cfg(feature = "header")]
    header();
}

/// The FPU of a target, by its name: stable Rust shows no features of these targets, and takes
/// Cortex-M's for armv7's, which has no fused operation. Unknown targets have none.
fn fpu() -> Vec<&'static str> {
    let var = |name| std::env::var(name).unwrap_or_default();
    let (target, arch, flags) = (var("TARGET"), var("CARGO_CFG_TARGET_ARCH"), var("CARGO_ENCODED_RUSTFLAGS"));
    let name = target.split('-').next().unwrap_or_default();
    let (sqrt, fma, soft_f64) = match arch.as_str() {
        "arm" => {
            let cortex_m = ["v6m", "v7m", "v7em", "v8m"].iter().any(|version| name.contains(version));
            let v7_android = name.contains("v7") && target.ends_with("-androideabi");
            let hard = target.ends_with("eabihf");
            // Few Cortex-M have doubles, and rustc is told which.
            let told =
                ["cortex-m7", "cortex-m55", "cortex-m85", "+fp64"].iter().any(|cpu| flags.contains(cpu));
            let soft = target.ends_with("eabi") && !v7_android;
            (hard || v7_android, hard && cortex_m, soft || cortex_m && !told)
        }
        "riscv32" | "riscv64" => {
            // What follows an underscore are extensions of several letters.
            let letters = name.strip_prefix(&arch).unwrap_or_default().split('_').next().unwrap_or_default();
            let (f, d) = (letters.contains(['f', 'g']), letters.contains(['d', 'g']));
            (f, f, letters.starts_with(['i', 'e']) && !d)
        }
        "s390x" => (!target.ends_with("softfloat"), !target.ends_with("softfloat"), false),
        _ => (false, false, false),
    };
    [(sqrt, "vesde_sqrt"), (fma, "vesde_fma"), (soft_f64, "vesde_soft_f64")]
        .into_iter()
        .filter_map(|(has, cfg)| has.then_some(cfg))
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
    // The documentation is written once, for Rust; these are the words that a C reader would
    // stumble over.
    for (rust, c) in [
        ("# Safety", "Pointers:"),
        ("`f32`", "float"),
        ("`f64`", "double"),
        ("0..=1", "0 to 1"),
        ("// ```c\n", "//\n"),
        ("// ```\n", "//\n"),
        ("//\n//\n", "//\n"),
        // The guard ends behind cbindgen.toml's trailer.
        ("\n#endif  /* VESDE_H */\n", ""),
    ] {
        header = header.replace(rust, c);
    }
    // Sources may be read-only, where documentation is built with all features.
    if std::fs::read_to_string("include/vesde.h").ok().as_ref() != Some(&header) {
        std::fs::write("include/vesde.h", header).expect("include/vesde.h is written");
    }
}
