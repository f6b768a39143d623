#!/usr/bin/env bash
# linux.sh TARGET...: the tests for other Linux targets, under qemu-user, or as they are for i686.
# Those in Rust with Rust's stock library; C and C++ programs by ffi-tests/c.rs of this machine,
# which compares their pictures with its own.
# Needs rustup and, for each target, Debian's g++ for it (g++-aarch64-linux-gnu and so on).
set -euo pipefail
cd "$(dirname "$0")/../.."
qemu=$(ffi-tests/targets/qemu.sh)
host=$(rustc -vV | sed -n 's/^host: //p')
export CI=1 # a C++ compiler is a must
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0
variable() { # variable TARGET NAME: what cargo calls it
  tr a-z- A-Z_ <<<"CARGO_TARGET_$1_$2"
}

for target; do
  skip=() cflags= # keeps GCC from computing float in a wider type, where C's standard lets it
  case $target in
    aarch64-*) system=aarch64-linux-gnu runner="$qemu/qemu-aarch64 -L /usr/$system" ;;
    armv7-*)
      system=arm-linux-gnueabihf runner="$qemu/qemu-arm -L /usr/$system"
      skip=(--skip abi_is) ;; # the record is that of 64 bits
    i686-*)
      system=i686-linux-gnu runner="/usr/$system/lib/ld-linux.so.2 --library-path /usr/$system/lib"
      cflags="-msse2 -mfpmath=sse" skip=(--skip abi_is) ;;
    riscv64gc-*) system=riscv64-linux-gnu runner="$qemu/qemu-riscv64 -L /usr/$system" ;;
    s390x-*)
      system=s390x-linux-gnu runner="$qemu/qemu-s390x -L /usr/$system" cflags=-fexcess-precision=fast
      # riscv64 has the same scalar code, and is emulated faster.
      echo "skipped on $target: faults.c"
      skip=(--skip faults) ;;
    *) echo "unknown target: $target" >&2 && exit 1 ;;
  esac
  rustup target add "$target"
  echo "skipped on $target: most tries of faults.c and jobs of sampling.c, steps of the digits"
  # What takes longest and calls what all hashes do, on one target.
  rust=()
  if [ $system != aarch64-linux-gnu ]; then
    echo "  the documentation, the digits by each sampler and by the ODE; in Rust all sines and numbers' text"
    skip+=(--skip digits_by_ --skip documentation) rust=(--skip all_sines --skip json::)
  fi
  env "$(variable "$host" RUNNER)=env CARGO_BUILD_TARGET=$target" VESDE_RUNNER="$runner" CC="$system-gcc $cflags" CXX="$system-g++" \
    cargo test --test c -- --skip headers_ --skip function_is_in --skip change_of "${skip[@]}"
  if [ $system = riscv64-linux-gnu ]; then # with s390x's scalar code, on words like aarch64's
    echo "skipped on $target: the tests in Rust"
    continue
  fi
  echo "skipped on $target: in Rust doc tests, golden.rs, ode.rs, paper.rs, quality.rs, samplers.rs and threads.rs, most numbers of"
  echo "  json.rs, jobs of properties.rs and draws of counter_noise_is_normal"
  # A folder for each, or cargo's lock on it lets no two build at once.
  ffi-tests/targets/tests.sh "target/tests/$target"
  env "$(variable "$target" LINKER)=$system-gcc" "$(variable "$target" RUNNER)=$runner" VESDE_RUNNER="$runner" \
    cargo test --manifest-path "target/tests/$target/Cargo.toml" --target "$target" --target-dir "target/linux/$target" \
    --lib --test generators --test inverse --test levels --test properties -- "${rust[@]}"
done
