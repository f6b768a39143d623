#!/usr/bin/env bash
# archive.sh TRIPLE...: the static library without std for each target, as target/bare/TRIPLE.a; two at a time.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ $# -gt 1 ]; then
  printf '%s\n' "$@" | xargs -P 2 -n 1 ffi-tests/targets/archive.sh
  exit
fi
flags=
# A folder for each, or cargo's lock on it lets no two run at once.
folder=target/bare/$1
mkdir -p "$folder"
case $1 in
  *-windows-* | *-apple-darwin | *-freebsd | x86_64-*-musl)
    # For these rustup has core, which need not be built: a third of the seconds. It may add one target at a time.
    unset RUSTC RUSTC_BOOTSTRAP
    export PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    flock target/bare/rustup.lock rustup --quiet target add "$1"
    core=()
    ;;
  *)
    . ffi-tests/targets/env.sh
    core=(-Zbuild-std=core)
    ;;
esac
case $1 in wasm32-*) flags="-C target-feature=+simd128" ;; esac
object=$folder/vesde.o
RUSTFLAGS=$flags cargo rustc --quiet --lib --profile c --features capi --crate-type staticlib --target "$1" "${core[@]}" \
  --target-dir "$folder" -- --cfg vesde_staticlib --emit obj="$object"
rm -f "target/bare/$1.a"
case $1 in
  wasm32-*) cp "$folder/$1/c/libvesde.a" "target/bare/$1.a" ;; # with Rust's arithmetic, since there is no other
  *) llvm-ar-22 rcs "target/bare/$1.a" "$object" ;;
esac
echo "bare $1: $(stat -c %s "target/bare/$1.a") bytes in $SECONDS s"
