#!/usr/bin/env bash
# archive.sh TRIPLE...: the static library without std for each target, as target/bare/TRIPLE.a; two
# at a time.
set -euo pipefail
cd "$(dirname "$0")/../.."
. ffi-tests/targets/env.sh

if [ $# -gt 1 ]; then
  printf '%s\n' "$@" | xargs -P 2 -n 1 ffi-tests/targets/archive.sh
  exit
fi
flags=
case $1 in wasm32-*) flags="-C target-feature=+simd128" ;; esac
# A folder for each, or cargo's lock on it lets no two run at once.
object=target/bare/$1/vesde.o
RUSTFLAGS=$flags cargo rustc --quiet --lib --profile c --features capi --crate-type staticlib --target "$1" -Zbuild-std=core \
  --target-dir "target/bare/$1" -- --cfg vesde_staticlib --emit obj="$object"
rm -f "target/bare/$1.a"
case $1 in
  # with Rust's arithmetic, since there is no other
  wasm32-*) cp "target/bare/$1/$1/c/libvesde.a" "target/bare/$1.a" ;;
  *) llvm-ar-22 rcs "target/bare/$1.a" "$object" ;;
esac
echo "bare $1: $(stat -c %s "target/bare/$1.a") bytes in $SECONDS s"
