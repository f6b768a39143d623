#!/usr/bin/env bash
# archive.sh TRIPLE...: the static library without std for each target, as target/bare/TRIPLE.a, with Rust's stock core as its users
# have it; two at a time. Needs rustup and llvm-22.
set -euo pipefail
cd "$(dirname "$0")/../.."

rustup --quiet target add "$@"
if [ $# -gt 1 ]; then
  printf '%s\n' "$@" | xargs -P 2 -n 1 ffi-tests/targets/archive.sh
  exit
fi
flags=
case $1 in wasm32-*) flags="-C target-feature=+simd128" ;; esac
# A folder for each, or cargo's lock on it lets no two run at once.
object=target/bare/$1/vesde.o
RUSTFLAGS=$flags cargo rustc --quiet --lib --profile c --features capi --crate-type staticlib --target "$1" \
  --target-dir "target/bare/$1" -- --cfg vesde_staticlib --emit obj="$object"
rm -f "target/bare/$1.a"
case $1 in
  wasm32-*) cp "target/bare/$1/$1/c/libvesde.a" "target/bare/$1.a" ;; # with Rust's arithmetic, since there is no other
  *) llvm-ar-22 rcs "target/bare/$1.a" "$object" ;;
esac
echo "bare $1: $(stat -c %s "target/bare/$1.a") bytes in $SECONDS s"
