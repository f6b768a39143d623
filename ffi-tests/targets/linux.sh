#!/usr/bin/env bash
# linux.sh TARGET...: `cargo test` for other Linux targets, C and C++ programs included: under
# qemu-user, or as they are for i686.
# Needs rustc-web, cargo-web, rust-web-src and, for each target, Debian's g++ for it
# (g++-aarch64-linux-gnu and so on).
set -euo pipefail
cd "$(dirname "$0")/../.."
. ffi-tests/targets/env.sh
qemu=$(ffi-tests/targets/qemu.sh)

ffi-tests/targets/archive.sh "$@" # the C library, of which count.sh needs some too
export CI=1                       # a C++ compiler is a must
# The fastest in all: what is emulated is optimised, and what the tests use besides is not.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=2
profile=(--config 'profile.dev.package."*".opt-level=0' --config profile.dev.package.wide.opt-level=2
  --config profile.dev.package.libm.opt-level=2)
# All but quality.rs, of which nothing runs without being asked for.
mapfile -t tests < <(sed -n 's/^path = "ffi-tests\/\(.*\)\.rs"/--test=\1/p' Cargo.toml | grep -v quality)

for target; do
  cflags= # where C's standard lets GCC compute float in a wider type, that it does not
  case $target in
    aarch64-*) system=aarch64-linux-gnu runner="$qemu/qemu-aarch64 -L /usr/$system" ;;
    armv7-*) system=arm-linux-gnueabihf runner="$qemu/qemu-arm -L /usr/$system" ;;
    i686-*)
      system=i686-linux-gnu runner="/usr/$system/lib/ld-linux.so.2 --library-path /usr/$system/lib"
      cflags="-msse2 -mfpmath=sse" ;;
    riscv64gc-*) system=riscv64-linux-gnu runner="$qemu/qemu-riscv64 -L /usr/$system" ;;
    s390x-*) system=s390x-linux-gnu runner="$qemu/qemu-s390x -L /usr/$system" cflags=-fexcess-precision=fast ;;
    *) echo "unknown target: $target" >&2 && exit 1 ;;
  esac
  variable=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")
  export "${variable}_LINKER=$system-gcc" "${variable}_RUNNER=$runner"
  export CARGO_BUILD_TARGET=$target VESDE_OBJECT=target/bare/$target/vesde.o VESDE_RUNNER=$runner CC="$system-gcc $cflags" CXX=$system-g++
  echo "skipped on $target: doc tests, quality.rs, most tries of faults.c, jobs of ode.rs, sampling.c and properties.rs, numbers of json.rs,"
  echo "  draws of counter_noise_is_normal, steps of the digits, paper.rs's digits at 1e-5, orders in samplers.rs"
  cargo "${profile[@]}" test --lib "${tests[@]}" --target-dir target/linux -Zbuild-std=std,panic_abort
done
