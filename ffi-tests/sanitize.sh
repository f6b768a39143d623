#!/usr/bin/env bash
# Looks for undefined behaviour where it runs: the C and C++ programs of c/ under AddressSanitizer
# with UndefinedBehaviorSanitizer and under valgrind, the one with threads under ThreadSanitizer,
# the Rust tests under AddressSanitizer, and some of them in Miri where that is installed. A line a
# check; the first report ends it. Needs rustup's Rust, gcc and g++ (or CC and CXX) and valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
host=$(rustc -vV | sed -n 's/^host: //p')
folder=${CARGO_TARGET_DIR:-$root/target}/sanitize
cc=${CC:-cc} cxx=${CXX:-c++}
mkdir -p "$folder"
export CARGO_TERM_COLOR=never
# -Zsanitizer is not stable.
export RUSTC_BOOTSTRAP=1

checked() { # checked NAME COMMAND...: runs it, with what it prints if it fails
  local start=$SECONDS name=$1
  shift
  if ! "$@" >"$folder/log" 2>&1; then
    tail -n 100 "$folder/log"
    echo "FAILED: $name"
    exit 1
  fi
  echo "$name: nothing reported, $((SECONDS - start)) s"
}

archive() { # archive KIND LEVEL FLAGS: libvesde.a for programs in C, optimised so far
  RUSTFLAGS="--cfg vesde_staticlib $3" cargo rustc --quiet --lib --release --features capi --crate-type staticlib \
    --config profile.release.opt-level="$2" --target "$host" --target-dir "$folder/$1"
}

program() { # program SOURCE KIND FLAGS...: compiles it and links it with the archive of that kind
  local source=$1 kind=$2 compiler=("$cc" -std=c11) name
  shift 2
  [[ $source == *.c ]] || compiler=("$cxx" -std=c++17 -fno-exceptions -fno-rtti)
  name=$folder/$kind/$(basename "$source")
  "${compiler[@]}" -g1 -O1 -Iinclude -ffp-contract=off "$@" "$source" "$folder/$kind/$host/release/libvesde.a" -pthread -lm -o "$name.program"
}

# All but docs.c, which includes what a test makes of the documentation.
sources=()
for source in ffi-tests/c/*.c ffi-tests/c/*.cpp; do
  [[ $source == */docs.c ]] || sources+=("$source")
done

echo "skipped: most jobs of faults.c and samplers.c, in valgrind of sampling.c, since cargo test runs all of them"
few() { # few SOURCE: its arguments
  case $1 in */faults.c) echo 24 ;; */samplers.c) echo 8 ;; esac
}

archive address 1 -Zsanitizer=address
for source in "${sources[@]}"; do
  # -O0: with -O1 gcc takes more than three times as long.
  program "$source" address -O0 -fsanitize=address,undefined -fno-sanitize-recover=all
  checked "$(basename "$source") under AddressSanitizer and UndefinedBehaviorSanitizer" "$folder/address/$(basename "$source").program" $(few "$source")
done

# As other stages have it.
env -u RUSTC_BOOTSTRAP cargo rustc --quiet --lib --profile c --features capi --crate-type staticlib --target-dir target/ffi -- \
  --cfg vesde_staticlib --emit obj=target/ffi/vesde.o
mkdir -p "$folder/plain/$host/release"
ar rcs "$folder/plain/$host/release/libvesde.a" target/ffi/vesde.o
printf '#include <stdio.h>\n#include "vesde.h"\nint main(void) { return printf("%%d\\n", (int)vesde_simd_level()) < 0; }\n' >"$folder/level.c"
program "$folder/level.c" plain
level=$("$folder/plain/level.c.program") in_valgrind=$(valgrind --quiet "$folder/plain/level.c.program")
echo "vesde_simd_level: $level, in valgrind $in_valgrind"
# valgrind has no AVX-512: there the library must find AVX2 where the machine has more.
[ "$in_valgrind" = "$((level > 1 ? 1 : level))" ]
for source in "${sources[@]}"; do
  if [[ $source == */environment.c ]]; then
    echo "environment.c under valgrind: skipped, because valgrind rounds to the nearest whatever it is told"
    continue
  fi
  if [[ $source == */faults.c ]]; then
    echo "faults.c under valgrind: skipped, because it would take minutes; it puts pages that do not exist around buffers itself"
    continue
  fi
  program "$source" plain -DEMULATED
  checked "$(basename "$source") under valgrind" valgrind --quiet --error-exitcode=99 --leak-check=full "$folder/plain/$(basename "$source").program" \
    $(few "$source")
done

# Without what examples need, and as few jobs as in an emulator.
echo "skipped in Rust: most jobs of properties.rs, numbers of json.rs and draws of counter_noise_is_normal"
ffi-tests/targets/tests.sh target/tests/host
rust=(cargo test --manifest-path target/tests/host/Cargo.toml --target "$host" --target-dir "$folder/tests" --features capi --lib)
for test in properties levels generators golden threads; do rust+=(--test "$test"); done
# Nor what is arithmetic in registers.
rust+=(-- --skip all_sines --skip fma_rounds_once)
RUSTFLAGS=-Zsanitizer=address VESDE_RUNNER=none checked "the Rust tests under AddressSanitizer" "${rust[@]}"
[ "$(grep -c '^test result: ok. [1-9]' "$folder/log")" = 6 ]
grep '^test result' "$folder/log"

# threads.rs cannot run under ThreadSanitizer: the standard library that rustup installs is not
# instrumented, and its own Arc is then reported. threads.c does the same on an archive without std.
# The runtime is rustc's, since gcc's knows fewer functions. Nothing unwinds. With -O1 the library's
# stores of 32 and 64 bytes would not be seen; and of short histories a race is not reported.
race="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
archive thread 0 "$race"
"$cc" -std=c11 -g -O1 -Iinclude -ffp-contract=off -fsanitize=thread -c ffi-tests/c/threads.c -o "$folder/thread/threads.o"
"$cc" "$folder/thread/threads.o" "$folder/thread/$host/release/libvesde.a" -rdynamic -o "$folder/thread/threads" -Wl,--defsym=rust_eh_personality=0 \
  -Wl,--whole-archive "$(rustc --print sysroot)/lib/rustlib/$host/lib/librustc-stable_rt.tsan.a" -Wl,--no-whole-archive -pthread -lm
TSAN_OPTIONS=history_size=7 checked "threads.c under ThreadSanitizer" "$folder/thread/threads"

if version=$(cargo miri --version 2>&1); then
  echo "$version"
  MIRIFLAGS=-Zmiri-disable-isolation checked "unit tests in Miri" cargo miri test --quiet --features capi --lib -- config error
else
  echo "Miri: skipped, because no installed toolchain has it (cargo miri --version: ${version%%$'\n'*})"
fi
