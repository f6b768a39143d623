#!/usr/bin/env bash
# Looks for undefined behaviour where it runs: the C and C++ programs of c/ under AddressSanitizer with UndefinedBehaviorSanitizer and under
# valgrind, the Rust tests under AddressSanitizer, the one with threads under ThreadSanitizer, and a few of them in Miri where that is
# installed. A line a check; the first report ends it. Needs rustup's Rust, gcc and g++ (or CC and CXX) and valgrind.
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

archive() { # archive KIND FLAGS: libvesde.a for programs in C
  RUSTFLAGS="--cfg vesde_staticlib $2" cargo rustc --quiet --lib --release --features capi --crate-type staticlib \
    --target "$host" --target-dir "$folder/$1"
}

program() { # program SOURCE KIND FLAGS...: compiles it and links it with the archive of that kind
  local source=$1 kind=$2 compiler=("$cc" -std=c11) name
  shift 2
  [[ $source == *.c ]] || compiler=("$cxx" -std=c++17 -fno-exceptions -fno-rtti)
  name=$folder/$kind/$(basename "$source")
  "${compiler[@]}" -g -O1 -Iinclude -ffp-contract=off "$@" "$source" "$folder/$kind/$host/release/libvesde.a" -lm -o "$name.program"
}

sources=(ffi-tests/c/*.c ffi-tests/c/*.cpp)

archive address -Zsanitizer=address
for source in "${sources[@]}"; do
  program "$source" address -fsanitize=address,undefined -fno-sanitize-recover=all
  checked "$(basename "$source") under AddressSanitizer and UndefinedBehaviorSanitizer" "$folder/address/$(basename "$source").program"
done

archive plain -g
printf '#include <stdio.h>\n#include "vesde.h"\nint main(void) { return printf("%%d\\n", (int)vesde_simd_level()) < 0; }\n' >"$folder/level.c"
program "$folder/level.c" plain
level=$("$folder/plain/level.c.program") in_valgrind=$(valgrind --quiet "$folder/plain/level.c.program")
echo "vesde_simd_level: $level, in valgrind $in_valgrind"
# valgrind has no AVX-512: there the library must find AVX2 where the machine has more.
[ "$in_valgrind" = "$((level > 1 ? 1 : level))" ]
for source in "${sources[@]}"; do
  program "$source" plain
  checked "$(basename "$source") under valgrind" valgrind --quiet --error-exitcode=99 --leak-check=full "$folder/plain/$(basename "$source").program"
done

# The tests are compiled by themselves: cargo would build what benches and examples need along with them. The versions are Cargo.lock's.
libraries() { # libraries KIND FLAGS: what they need, in $deps
  local crate=$folder/$1/crate
  mkdir -p "$crate"
  : >"$crate/lib.rs"
  cp Cargo.lock "$crate"
  sed -n '/^\[package\]/,/^\[/p' Cargo.toml | grep -E '^(edition|rust-version)' >"$folder/package"
  cat - "$folder/package" >"$crate/Cargo.toml" <<EOF
[workspace]
[dependencies]
vesde = { path = "$root" }
rand_xoshiro = "$(sed -n 's/^rand_xoshiro = "\(.*\)"/\1/p' Cargo.toml)"
[lib]
path = "lib.rs"
[package]
name = "tests"
EOF
  RUSTFLAGS=$2 cargo build --quiet --manifest-path "$crate/Cargo.toml" --release --config 'profile.release.debug-assertions=true' \
    --target "$host" --target-dir "$folder/$1"
  deps=$folder/$1/$host/release/deps
}

test_program() { # test_program SOURCE KIND LIBRARIES FLAGS...
  local source=$1 kind=$2 externs=()
  for name in $3; do externs+=(--extern "$name"); done
  shift 3
  # shellcheck disable=SC2046 # they are words
  env CARGO_MANIFEST_DIR="$root" $(sed -n 's/^version = "\([0-9]*\)\.\([0-9]*\)\.\([0-9]*\)".*/CARGO_PKG_VERSION_MAJOR=\1 CARGO_PKG_VERSION_MINOR=\2 CARGO_PKG_VERSION_PATCH=\3/p' Cargo.toml) \
    rustc --edition 2024 -O -g -Cdebug-assertions --test "$source" --target "$host" -L "$deps" "${externs[@]}" "$@" -o "$folder/$kind/$(basename "$source").test"
}

rust_test() { # rust_test SOURCE KIND SANITIZER ARGUMENTS...: runs it
  checked "$(basename "$1") under $3" "$folder/$2/$(basename "$1").test" "${@:4}"
  grep '^test result' "$folder/log"
  # shellcheck disable=SC2251 # a test binary of no tests succeeds as well
  ! grep -q 'ok\. 0 passed' "$folder/log"
}

libraries address -Zsanitizer=address
test_program src/lib.rs address "libm rand_core ryu wide cpufeatures" --crate-name vesde --cfg 'feature="capi"' -Zsanitizer=address
rust_test src/lib.rs address AddressSanitizer
for test in properties levels generators golden threads; do
  test_program "ffi-tests/$test.rs" address "vesde rand_xoshiro libm" -Zsanitizer=address
  rust_test "ffi-tests/$test.rs" address AddressSanitizer
done

# The standard library is not instrumented: what is known of its threads is what ThreadSanitizer knows of pthreads.
race="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
libraries thread "$race"
# shellcheck disable=SC2086 # they are words
test_program ffi-tests/threads.rs thread vesde $race
rust_test ffi-tests/threads.rs thread ThreadSanitizer

if version=$(cargo miri --version 2>&1); then
  echo "$version"
  MIRIFLAGS=-Zmiri-disable-isolation checked "unit tests in Miri" cargo miri test --quiet --features capi --lib -- config error
else
  echo "Miri: skipped, because no installed toolchain has it (cargo miri --version: ${version%%$'\n'*})"
fi
