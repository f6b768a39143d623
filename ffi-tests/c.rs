//! The C ABI as its users meet it: the static library is built by a nested cargo, the programs in
//! `c/` are compiled against the headers by the system's compilers (`$CC` or `cc`, `$CXX` or
//! `c++`), linked with it, and run. For another target than this machine's `$CARGO_BUILD_TARGET`
//! names it, and `$VESDE_RUNNER` runs its programs: ffi-tests/targets/linux.sh sets them.

#![cfg(all(unix, not(miri)))]

#[path = "abi.rs"]
mod abi_record;
#[allow(dead_code)]
#[path = "../examples/digits/held_out.rs"]
mod held_out;
#[allow(dead_code)]
#[path = "../examples/digits/methods.rs"]
mod methods;
#[allow(dead_code)]
#[path = "../examples/digits/network.rs"]
mod network;
#[allow(dead_code)]
#[path = "../examples/digits/ode.rs"]
mod ode;
#[allow(dead_code)]
#[path = "../examples/digits/picture.rs"]
mod picture;
#[allow(dead_code)]
#[path = "../examples/digits/sampling.rs"]
mod sampling;
#[allow(dead_code)]
#[path = "../examples/digits/solve.rs"]
mod solve;

use std::env;
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use vesde::{Config, Corrector, Predictor};

use abi_record::{Item, breaks};
use methods::{Named, Table};
use network::{CLASSES, Network};
use ode::OdeJob;
use picture::Picture;
use sampling::{Job, Known, sample};

// Where the library and the programs are built. Cargo runs a test in the package's root, to which
// all paths are relative.
const FOLDER: &str = "target/ffi";
/// The variable that names what runs a program, where this machine does not.
const RUNNER: &str = "VESDE_RUNNER";
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
    /// Whether to skip this language: a C compiler is a must, and so is a C++ compiler where `CI`
    /// is set.
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
        let mut command = command(&env::var(self.variable).unwrap_or_else(|_| self.compiler.into()));
        command.arg(format!("-std={standard}")).args(WARNINGS).args(["-O1", "-Iinclude"]).args(self.flags);
        command.args(emulated().then_some("-DEMULATED"));
        command
    }

    /// Compiles a program and links it with the library and `libraries`. An executable may have no
    /// undefined symbol, so that a function which the library lacks fails here.
    fn build(&self, source: &str, standard: &str, libraries: &[&str]) -> Command {
        let (_, name) = source.rsplit_once('/').expect("a folder");
        let program = built(&format!("{name}.{standard}"));
        let library = library();
        succeed(self.compiler(standard).args([source, library, "-o", &program]).args(libraries), "");
        command(&format!("{} {program}", env::var(RUNNER).unwrap_or_default()))
    }

    /// All standards; in an emulator the last one is enough.
    fn some_standards(&self) -> &'static [&'static str] {
        let first = if emulated() { self.standards.len() - 1 } else { 0 };
        &self.standards[first..]
    }

    /// Builds a test program in every standard, with the library alone, and runs it.
    fn run(&self, source: &str, arguments: &[&str]) {
        for standard in self.some_standards() {
            succeed(self.build(&format!("ffi-tests/c/{source}"), standard, &[]).args(arguments), "");
        }
    }
}

/// The command that these words make: as with make, a variable may hold arguments, too.
fn command(words: &str) -> Command {
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().expect("a command"));
    command.args(words);
    command
}

/// Whether the programs are run by an emulator.
fn emulated() -> bool {
    env::var_os(RUNNER).is_some()
}

/// Where a file that is built here goes, for each target a folder of its own.
fn built(file: &str) -> String {
    match env::var("CARGO_BUILD_TARGET") {
        Ok(target) => format!("{FOLDER}/{target}/{file}"),
        Err(_) => format!("{FOLDER}/{file}"),
    }
}

/// The C library as one object, built once, by README.md's command.
fn library() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut cargo = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        // For another target where archive.sh builds it, or has built it.
        let folder = env::var("CARGO_BUILD_TARGET").map(|target| format!("target/bare/{target}"));
        let folder = folder.unwrap_or_else(|_| FOLDER.into());
        let object = format!("{folder}/vesde.o");
        fs::create_dir_all(built("")).expect("a folder");
        cargo.args(["rustc", "--lib", "--profile", "c", "--features", "capi"]);
        cargo.args(["--crate-type", "staticlib", "--target-dir", &folder]);
        cargo.args(["--", "--cfg", "vesde_staticlib", "--emit", &format!("obj={object}")]);
        // The flags that the outer cargo was told are for the tests, not for the library.
        succeed(cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("RUSTFLAGS"), "");
        object
    })
}

/// Runs a command on `input`: what it printed, or why it failed with all that it printed.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    // A command that reads nothing may have ended already; its status then tells how it went.
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
    C.run("abi.c", &[]);
}

/// The record of the last release, abi.txt. Until the next minor version functions and statuses may
/// come, and nothing may go or change. `VESDE_BLESS=1 cargo test --test c` writes it anew, for a
/// release.
#[test]
fn the_abi_is_that_of_the_last_release() {
    if cfg!(not(target_pointer_width = "64")) {
        println!("skipped, because the record is that of 64 bits");
        return;
    }
    let header = fs::read_to_string("include/vesde.h").unwrap();
    let source = built("abi.generated.c");
    fs::create_dir_all(built("")).unwrap();
    fs::write(&source, abi_record::program(&abi_record::items(&header))).unwrap();
    let printed = run(&mut C.build(&source, "c99", &[]), "").unwrap();
    let mut lines: Vec<&str> = printed.lines().collect();
    lines.sort_unstable();
    let version = concat!("version ", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    lines.push(version);
    let now = lines.join("\n") + "\n";
    let path = "ffi-tests/abi.txt";
    if env::var_os("VESDE_BLESS").is_some() {
        fs::write(path, &now).unwrap();
    }
    let recorded = fs::read_to_string(path).unwrap();
    let broken = breaks(&recorded, &now);
    assert!(broken.is_empty(), "not the ABI of {path}:\n{}", broken.join("\n"));
}

/// Nothing else notices a function that is missing in functions.h's table, in C++ or in the fuzz
/// targets.
#[test]
fn every_function_is_in_the_table_in_cpp_and_in_the_fuzz_targets() {
    let [header, table, cpp, fuzz] = [
        "include/vesde.h",
        "ffi-tests/c/functions.h",
        "include/vesde.hpp",
        "ffi-tests/fuzz/fuzz_targets/c_abi.rs",
    ]
    .map(|path| fs::read_to_string(path).unwrap());
    let (_, fuzzed) = fuzz.split_once("\nfunctions! {").unwrap();
    let fuzzed: Vec<&str> = fuzzed.split_once('}').unwrap().0.split_whitespace().collect();
    let mut forgotten = vec![];
    for item in abi_record::items(&header) {
        let Item::Function { name, prototype } = item else { continue };
        let short = name.strip_prefix("vesde_").unwrap();
        // The table has only functions that take pointers.
        let takes_pointers = prototype.split_once('(').unwrap().1.contains('*');
        // C has a function rand: a name in the table may belong to call_NAME.
        let calls = ["", "call_"].map(|prefix| format!("    {{\"{short}\", {prefix}{short}, "));
        if takes_pointers && !calls.iter().any(|call| table.contains(call)) {
            forgotten.push(format!("{name} in functions.h"));
        }
        if !cpp.contains(&format!("{name}(")) {
            forgotten.push(format!("{name} in vesde.hpp"));
        }
        if !fuzzed.contains(&short) {
            forgotten.push(format!("{name} in c_abi.rs"));
        }
    }
    assert!(forgotten.is_empty(), "{forgotten:#?}");
}

#[test]
fn a_change_of_the_abi_is_seen() {
    let header = fs::read_to_string("include/vesde.h").unwrap();
    let items = abi_record::items(&header);
    // As many of each as the header has lines that look like one, up to its inline functions.
    let (declared, _) = header.split_once("}  // extern").unwrap();
    let lines = |what: &str| {
        let is_comment = |line: &str| ["//", "*"].iter().any(|start| line.trim_start().starts_with(start));
        declared.lines().filter(|line| !is_comment(line) && line.contains(what)).count()
    };
    let count = |what: fn(&Item) -> bool| items.iter().filter(|item| what(item)).count();
    assert_eq!(count(|x| matches!(x, Item::Struct { .. })), lines("typedef struct"));
    assert_eq!(count(|x| matches!(x, Item::Function { .. })), lines(");"));
    assert_eq!(count(|x| matches!(x, Item::Type { .. })), lines("typedef int32_t"));
    let constants = [
        "VESDE_OK 0",
        "VESDE_MOST_TERMS 8",
        "VESDE_MOST_KEEPS 2",
        "VESDE_ODE_MOST_TERMS 5",
        "VESDE_NORM_BLOCK",
        " = ",
    ]
    .map(lines);
    assert_eq!(count(|x| matches!(x, Item::Constant(_))), constants.iter().sum::<usize>());

    let recorded = fs::read_to_string("ffi-tests/abi.txt").unwrap();
    for line in recorded.lines().step_by(if emulated() { 20 } else { 1 }) {
        let without = recorded.replace(&format!("{line}\n"), "");
        assert_eq!(breaks(&recorded, &without), [format!("- {line}")]);
    }
    for (new, may_come) in [
        ("function void vesde_new(void)", true),
        ("constant VESDE_ERROR_NEW = -99", true),
        ("constant VESDE_AVERAGING_NEW = 2", false),
        ("struct vesde_new: size 8, alignment 8", true),
        ("struct vesde_config: float new at 36", false),
        ("type vesde_new = int32_t", false),
    ] {
        let broken = breaks(&recorded, &format!("{recorded}{new}\n"));
        assert_eq!(broken.is_empty(), may_come, "{new}");
    }
}

#[test]
fn another_floating_point_environment_is_noticed() {
    let source = "ffi-tests/c/environment.c";
    for standard in C.standards {
        succeed(&mut C.build(source, standard, &["-lm"]), "");
    }
    // GCC links a program so that subnormals are flushed from its beginning.
    let here = env::var_os("CARGO_BUILD_TARGET").is_none();
    if here && cfg!(target_arch = "x86_64") && C.version().unwrap().contains("Free Software Foundation") {
        succeed(C.build(source, "c11", &["-lm", "-Ofast"]).arg("0"), "");
    }
}

#[test]
fn faults() {
    // Both standards call the same library: all tries in one of them.
    for (i, standard) in C.some_standards().iter().rev().enumerate() {
        let some = if i > 0 || emulated() { &["64"][..] } else { &[] };
        succeed(C.build("ffi-tests/c/faults.c", standard, &[]).args(some), "");
    }
}

#[test]
fn golden() {
    C.run("golden.c", &[]);
}

#[test]
fn paper() {
    for standard in C.some_standards() {
        succeed(&mut C.build("ffi-tests/c/paper.c", standard, &["-lm"]), "");
    }
}

#[test]
fn hashes() {
    C.run("hashes.c", &[]);
}

#[test]
fn sampling_loops() {
    C.run("sampling.c", &[]);
}

#[test]
fn samplers() {
    let standards = if emulated() { &C.standards[1..] } else { C.standards };
    for standard in standards {
        let mut program = C.build("ffi-tests/c/samplers.c", standard, &["-lm"]);
        succeed(program.args(if emulated() { &["16"][..] } else { &[] }), "");
    }
}

/// The C of docs/ and README.md is one program, in the order in which docs/README.md lists the
/// pages; docs.c runs its functions.
#[test]
fn documentation() {
    let list = fs::read_to_string("docs/README.md").unwrap();
    let pages = list.lines().filter_map(|line| line.strip_prefix("- [")?.split_once(']'));
    let mut pages: Vec<String> = pages.map(|(page, _)| format!("docs/{page}")).collect();
    assert_eq!(fs::read_dir("docs").unwrap().count(), 1 + pages.len(), "{pages:?}");
    pages.splice(0..0, ["docs/README.md".into(), "README.md".into()]);
    let mut code = String::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for (begin, asks) in text.match_indices("find_package(vesde ") {
            let version = text[begin + asks.len()..].split_whitespace().next().unwrap();
            let ours = [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR")];
            assert_eq!(version, ours.join("."), "{page} asks for another version");
        }
        for (begin, fence) in text.match_indices("```c\n") {
            let line = text[..begin].lines().count() + 2;
            let (block, _) = text[begin + fence.len()..].split_once("```").unwrap();
            code += &format!("#line {line} \"{page}\"\n{block}");
        }
    }
    fs::create_dir_all(built("")).unwrap();
    fs::write(built("docs.generated.h"), code).unwrap();
    for standard in C.some_standards() {
        let folder = format!("-I{}", built(""));
        succeed(&mut C.build("ffi-tests/c/docs.c", standard, &[&folder, "-lm"]), "");
    }
}

/// The README's loop in C++, on a Gaussian.
#[test]
fn the_readmes_cpp() {
    if CPP.is_missing() {
        return;
    }
    let text = fs::read_to_string("README.md").unwrap();
    let (_, block) = text.split_once("```cpp\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let program = format!(
        r#"#include "vesde.hpp"
        #include <cmath>
        #include <vector>
        static void network(const std::vector<float> &x, float sigma, std::vector<float> &score) {{
            for (std::size_t i = 0; i < x.size(); i++)
                score[i] = (0.5f - x[i]) / (sigma * sigma + 0.01f);
        }}
        int main() {{
            vesde::config config;
            config.sigma_max = 10;
            const std::size_t batch = 2, steps = 50;
            std::vector<float> sample(batch * 500), score(batch * 500);
            std::vector<float> timesteps(steps), sigmas(steps), discrete_sigmas(steps);
            if (config.set_timesteps(timesteps) != vesde::status::ok ||
                config.set_sigmas(timesteps, sigmas, discrete_sigmas) != vesde::status::ok)
                return 1;
            const vesde::scheduler scheduler{{config, timesteps, sigmas, discrete_sigmas}};
            {block}
            double sum = 0;
            for (const float x : sample)
                sum += static_cast<double>(x);
            const double mean = sum / static_cast<double>(sample.size());
            return status == vesde::status::ok && std::fabs(mean - 0.5) < 0.05 ? 0 : 2;
        }}"#
    );
    let source = built("readme.cpp");
    fs::create_dir_all(built("")).unwrap();
    fs::write(&source, program).unwrap();
    for standard in CPP.some_standards() {
        succeed(&mut CPP.build(&source, standard, &[]), "");
    }
}

#[test]
fn threads() {
    for standard in C.some_standards() {
        succeed(&mut C.build("ffi-tests/c/threads.c", standard, &["-pthread"]), "");
    }
}

#[test]
fn hpp() {
    if !CPP.is_missing() {
        CPP.run("hpp.cpp", &[]);
    }
}

#[test]
fn openmp() {
    // A compiler may lack OpenMP's runtime: that it cannot link an empty program is a reason to
    // skip, and no other.
    let mut empty = C.compiler("c99");
    empty.args(["-fopenmp", "-x", "c", "-", "-o", &built("empty.openmp")]);
    fs::create_dir_all(built("")).expect("a folder");
    if let Err(why) = run(&mut empty, "int main(void) { return 0; }\n") {
        println!("skipped, because -fopenmp does not link: {why}");
        return;
    }
    let mut program = C.build("examples/openmp/openmp.c", "c99", &["-fopenmp"]);
    let some = if emulated() { 1 } else { 4 };
    for threads in ["3", "1", "2", "7"].into_iter().take(some) {
        succeed(program.env("OMP_NUM_THREADS", threads).env_remove("OMP_THREAD_LIMIT"), "");
    }
}

/// The picture that examples/digits/digits.c makes with these arguments.
fn digits_in_c(flags: &[&str], numbers: &[u64]) -> Picture {
    static PROGRAM: OnceLock<Vec<String>> = OnceLock::new();
    let words = PROGRAM.get_or_init(|| {
        let program = C.build("examples/digits/digits.c", "c99", &["-lm"]);
        let words = [program.get_program()].into_iter().chain(program.get_args());
        words.map(|word| word.to_str().expect("a word").into()).collect()
    });
    // Tests run at the same time.
    let path = built(&format!("digits{}{}.png", flags.concat(), numbers.len()));
    let numbers = numbers.iter().map(u64::to_string);
    succeed(Command::new(&words[0]).args(&words[1..]).args(flags).arg(&path).args(numbers), "");
    let mut reader = png::Decoder::new(BufReader::new(File::open(&path).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    Picture { width: info.width as usize, height: info.height as usize, pixels }
}

fn assert_same(c: &Picture, rust: &Picture) {
    assert_eq!((c.width, c.height), (rust.width, rust.height));
    assert!(c.pixels == rust.pixels, "the pictures differ");
}

/// Of the digits: their configuration and their network.
fn digits() -> (Config, Network) {
    let config = Config::from_json(include_bytes!("../examples/digits/scheduler_config.json")).unwrap();
    (config, Network::load(include_bytes!("../examples/digits/weights.safetensors")).unwrap())
}

/// The classes of a picture: one, or one a row.
fn classes_of(class: Option<usize>) -> Vec<usize> {
    (0..CLASSES * COLUMNS).map(|i| class.unwrap_or(i / COLUMNS)).collect()
}

const SEED: u64 = 7;
const COLUMNS: usize = 10;

/// Fewer in an emulator, which takes a minute for a second's work.
fn steps() -> usize {
    if emulated() { 2 } else { 25 }
}

/// The classes of the pictures that flags make: all, and one.
fn pictures() -> &'static [Option<usize>] {
    if emulated() { &[None] } else { &[None, Some(3)] }
}

/// A job of a class, or of all: two calls of the network a step.
fn numbers(class: Option<usize>) -> Vec<u64> {
    [SEED, 2 * steps() as u64].into_iter().chain(class.map(|class| class as u64)).collect()
}

fn job<'a>(config: Config, classes: &'a [usize], known: Option<Known<'a>>) -> Job<'a> {
    let (predictor, corrector) = (Predictor::default(), Corrector::default());
    let (sampler, steps, table) = (Named::PC, steps(), Table::Karras);
    Job { config, seed: SEED, sampler, steps, table, predictor, corrector, classes, known, filmed: 0 }
}

#[test]
fn digits_in_c_are_those_in_rust_pixel_for_pixel() {
    let (config, network) = digits();
    for &class in pictures() {
        let classes = classes_of(class);
        let pixels = sample(&job(config, &classes, None), &network, |_| ()).unwrap().pixels;
        let flags = ["--sampler", "pc"];
        assert_same(&digits_in_c(&flags, &numbers(class)), &Picture::of_digits(&pixels, COLUMNS));
    }
}

#[test]
fn digits_by_each_sampler_in_c_are_those_in_rust_pixel_for_pixel() {
    const EVALUATIONS: usize = 5;
    let (config, network) = digits();
    let classes = classes_of(None);
    let some = if emulated() { 5 } else { 1 };
    let samplers = Named::ALL.iter().filter(|sampler| **sampler != Named::PC);
    for (i, &sampler) in samplers.enumerate().step_by(some) {
        let (table, name) =
            if i % 2 == 0 { (Table::Karras, "karras") } else { (Table::Geometric, "geometric") };
        let job = Job { sampler, table, steps: sampler.steps(EVALUATIONS, 0), ..job(config, &classes, None) };
        let pixels = sample(&job, &network, |_| ()).unwrap().pixels;
        let picture = Picture::of_digits(&pixels, COLUMNS);
        let flags = ["--sampler", sampler.name, "--table", name];
        assert_same(&digits_in_c(&flags, &[SEED, EVALUATIONS as u64]), &picture);
    }
}

#[test]
fn completed_digits_in_c_are_those_in_rust_pixel_for_pixel() {
    let (config, network) = digits();
    for &class in pictures() {
        let (classes, real) = (classes_of(class), held_out::ten(class));
        let known = Known { pixels: &held_out::repeated(&real), mask: &held_out::UPPER_HALF };
        let pixels = sample(&job(config, &classes, Some(known)), &network, |_| ()).unwrap().pixels;
        let picture = Picture::of_digits(&held_out::beside(&real, &pixels), held_out::COLUMNS);
        assert_same(&digits_in_c(&["--inpaint"], &numbers(class)), &picture);
    }
}

#[test]
fn digits_by_the_ode_in_c_are_those_in_rust_pixel_for_pixel() {
    let (config, network) = digits();
    let (tolerance, words) = if emulated() { (1.0, ["--ode", "1"]) } else { (1e-2, ["--ode", "1e-2"]) };
    for &class in pictures() {
        let classes = classes_of(class);
        let job = OdeJob { config, seed: SEED, tolerance, classes: &classes };
        let pixels = job.sample(&network, 0, |_| ()).unwrap().0.pixels;
        let picture = Picture::of_digits(&pixels, COLUMNS);
        assert_same(&digits_in_c(&words, &numbers(class)), &picture);
    }
}
