#!/usr/bin/env bash
# The tests as `cargo test` builds them, C and C++ programs included, on other x86 CPUs than this
# machine's. qemu-user emulates them, and an instruction that the CPU lacks faults. It has no
# AVX-512: that level is tested where the machine has it. Left out is what every level of this
# machine has shown already, and what calls no kernel: the rest calls all kernels, in Rust and C.
set -euo pipefail
cd "$(dirname "$0")/../.."
qemu=$(ffi-tests/targets/qemu.sh)/qemu-x86_64
export CI=1 # a C++ compiler is a must
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -x c - -o "$work/avx" <<<'int main(void) { __asm__("vaddps %ymm0, %ymm0, %ymm0"); return 0; }'
cc -x c - -o "$work/avx2" <<<'int main(void) { __asm__("vpaddd %ymm0, %ymm0, %ymm0"); return 0; }'

faults() { # faults CPU PROGRAM: the program ends by SIGILL, which it is here for
  local status=0
  "$qemu" -cpu "$1" "$work/$2" 2>"$work/error" || status=$?
  [ $status = 132 ] || { cat "$work/error"; echo "$2 under $1 ended with $status and not by SIGILL"; exit 1; }
}
faults Nehalem avx
faults SandyBridge avx2
"$qemu" -cpu SandyBridge "$work/avx"
"$qemu" -cpu Haswell "$work/avx2"
echo "skipped on Nehalem: doc tests, golden.rs, ode.rs, paper.rs, samplers.rs, threads.rs, the digits, openmp.c, faults.c, hpp.cpp, and"
echo "  all sines, most jobs of others; on Haswell all but hashes.c: C programs run on AVX2 in valgrind, which has no AVX-512"
export VESDE_RUNNER="$qemu -cpu Nehalem" CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$qemu -cpu Nehalem"
cargo test --lib --test c --test generators --test inverse --test levels --test properties -- --nocapture \
  --skip digits --skip documentation --skip openmp --skip faults --skip hpp --skip all_sines --skip json:: --skip abi_is --skip headers_ --skip function_is_in --skip change_of \
  2>&1 | tee "$work/log"
# They found no other level, neither in Rust nor in any C program.
levels=$(grep -oE 'the same bits on .*|simd level [0-9]+' "$work/log" | sort -u)
[ "$levels" = "simd level 0
the same bits on [Baseline]" ] || { echo "wrong levels: $levels"; exit 1; }
hashes() { # hashes CPU LEVEL: all of them
  "$qemu" -cpu "$1" target/ffi/hashes.c.c11 | tee "$work/log"
  grep -F " 0 failures, simd level $2" "$work/log" >/dev/null
}
hashes Haswell 1
hashes SandyBridge 0 # with AVX alone the level is the first one's, and so is the code
