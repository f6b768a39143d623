//! The C ABI as its users meet it: the static library is built by a nested cargo, the programs in `c/` are compiled
//! against the headers by the system's compilers (`$CC` or `cc`, `$CXX` or `c++`), linked with it, and run.

#![cfg(all(unix, not(miri)))]

#[path = "../examples/digits/network.rs"]
mod network;
#[allow(dead_code)]
#[path = "../examples/digits/picture.rs"]
mod picture;
#[allow(dead_code)]
#[path = "../examples/digits/sampling.rs"]
mod sampling;

use std::env;
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use vesde::Config;

use network::{CLASSES, Network};
use picture::Picture;
use sampling::{Job, sample};

// Where everything that is built here goes. Cargo runs a test in the package's root, to which all paths are relative.
const FOLDER: &str = "target/ffi";
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];

/// A language, those of its standards that the headers promise, and the headers.
struct Language {
    name: &'static str,
    variable: &'static str,
    compiler: &'static str,
    standards: &'static [&'static str],
    headers: &'static [&'static str],
    flags: &'static [&'static str],
}

const C: Language = Language {
    name: "c",
    variable: "CC",
    compiler: "cc",
    standards: &["c99", "c11"],
    headers: &["vesde.h"],
    // The programs compute in float as diffusers does: one rounding an operation.
    flags: &["-ffp-contract=off"],
};

const CPP: Language = Language {
    name: "c++",
    variable: "CXX",
    compiler: "c++",
    standards: &["c++17", "c++20"],
    headers: &["vesde.h", "vesde.hpp"],
    flags: &["-fno-exceptions", "-fno-rtti", "-Wconversion", "-Wshadow"],
};

impl Language {
    /// Whether to go without: a C compiler is a must, and so is a C++ compiler where `CI` is set.
    fn is_missing(&self) -> bool {
        let missing = self.name != C.name && env::var_os("CI").is_none() && self.version().is_err();
        if missing {
            println!("skipped, because there is no {} compiler", self.name);
        }
        missing
    }

    fn version(&self) -> Result<String, String> {
        run(self.compiler(self.standards[0]).arg("--version"), "")
    }

    fn compiler(&self, standard: &str) -> Command {
        let compiler = env::var(self.variable).unwrap_or_else(|_| self.compiler.into());
        // As make has it, the variable may hold arguments.
        let mut words = compiler.split_whitespace();
        let mut command = Command::new(words.next().expect("a compiler"));
        command
            .args(words)
            .arg(format!("-std={standard}"))
            .args(WARNINGS)
            .args(["-O1", "-Iinclude"])
            .args(self.flags);
        command
    }

    /// Compiles a program and links it with the library and `libraries`.
    fn build(&self, source: &str, standard: &str, libraries: &[&str]) -> Command {
        let (_, name) = source.rsplit_once('/').expect("a folder");
        let program = format!("{FOLDER}/{name}.{standard}");
        let library = library();
        succeed(self.compiler(standard).args([source, library, "-o", &program]).args(libraries), "");
        Command::new(program)
    }

    /// Builds a test program in every standard, with the library alone, and runs it.
    fn run(&self, source: &str) {
        for standard in self.standards {
            succeed(&mut self.build(&format!("ffi-tests/c/{source}"), standard, &[]), "");
        }
    }
}

/// The static library, built once, as Cargo.toml says that it is built.
fn library() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut cargo = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        cargo.args(["rustc", "--lib", "--release", "--features", "capi"]);
        cargo.args(["--crate-type", "staticlib", "--target-dir", FOLDER]);
        // What the outer cargo was told is for the tests, not for the library.
        cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
        succeed(cargo.env("RUSTFLAGS", "--cfg vesde_staticlib"), "");
        format!("{FOLDER}/release/libvesde.a")
    })
}

/// Runs a command on `input`: what it printed, or why it failed with all that it printed.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    // A command that reads nothing may be gone already; its status then says what there is to say.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("output");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        Ok(out.into_owned())
    } else {
        Err(format!("{command:?}: {}\n{out}{err}", output.status))
    }
}

/// Runs a command on `input`, and fails unless it succeeds.
fn succeed(command: &mut Command, input: &str) {
    match run(command, input) {
        Ok(out) => print!("{out}"),
        Err(why) => panic!("{why}"),
    }
}

#[test]
fn headers_need_nothing_before_them_and_may_come_twice() {
    for language in [C, CPP] {
        if language.is_missing() {
            continue;
        }
        for standard in language.standards {
            for header in language.headers {
                let mut compiler = language.compiler(standard);
                compiler.args(["-x", language.name, "-fsyntax-only", "-"]);
                succeed(&mut compiler, &format!("#include \"{header}\"\n#include \"{header}\"\n"));
            }
        }
    }
}

#[test]
fn abi() {
    C.run("abi.c");
}

#[test]
fn golden() {
    C.run("golden.c");
}

#[test]
fn sampling_loops() {
    C.run("sampling.c");
}

#[test]
fn threads() {
    for standard in C.standards {
        succeed(&mut C.build("ffi-tests/c/threads.c", standard, &["-pthread"]), "");
    }
}

#[test]
fn hpp() {
    if !CPP.is_missing() {
        CPP.run("hpp.cpp");
    }
}

#[test]
fn openmp() {
    // A compiler may lack OpenMP's runtime: that it cannot link an empty program is a reason to skip, and no other.
    let mut empty = C.compiler("c99");
    empty.args(["-fopenmp", "-x", "c", "-", "-o", &format!("{FOLDER}/empty.openmp")]);
    fs::create_dir_all(FOLDER).expect("a folder");
    if let Err(why) = run(&mut empty, "int main(void) { return 0; }\n") {
        println!("skipped, because -fopenmp does not link: {why}");
        return;
    }
    let mut program = C.build("examples/openmp/openmp.c", "c99", &["-fopenmp"]);
    for threads in ["1", "2", "3", "7"] {
        succeed(program.env("OMP_NUM_THREADS", threads).env_remove("OMP_THREAD_LIMIT"), "");
    }
}

#[test]
fn digits_in_c_are_those_in_rust_pixel_for_pixel() {
    let (seed, steps, columns) = (7, 25, 10);
    let config = Config::from_json(include_bytes!("../examples/digits/scheduler_config.json")).unwrap();
    let network = Network::load(include_bytes!("../examples/digits/weights.safetensors")).unwrap();
    let classes: Vec<usize> = (0..CLASSES * columns).map(|i| i / columns).collect();
    let job = Job { config, seed, steps, classes: &classes, filmed: 0 };
    let picture = Picture::of_digits(&sample(&job, &network, |_| ()).unwrap().pixels, columns);

    let path = format!("{FOLDER}/digits.png");
    let mut program = C.build("examples/digits/digits.c", "c99", &["-lm"]);
    succeed(program.args([&path, &seed.to_string(), &steps.to_string()]), "");
    let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width as usize, info.height as usize), (picture.width, picture.height));
    assert!(pixels == picture.pixels, "the pictures differ");
}
