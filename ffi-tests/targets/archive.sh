#!/usr/bin/env bash
# archive.sh TRIPLE...: the static library without std for each target, as target/bare/TRIPLE.a, two
# at a time. With Rust's stock core, as users have it; where there is none to be had, with one that
# is built from source, which takes three times as long. Needs rustup and llvm-22.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ $# -gt 1 ]; then
  printf '%s\n' "$@" | xargs -P 2 -n 1 ffi-tests/targets/archive.sh
  exit
fi
# A folder for each, or cargo's lock on it lets no two run at once.
folder=target/bare/$1 flags='' core=()
mkdir -p "$folder"
installs() { flock target/bare/rustup.lock rustup --quiet "$@"; } # rustup adds one thing at a time
if ! installs target add "$1"; then
  installs component add rust-src
  export RUSTC_BOOTSTRAP=1
  core=(-Zbuild-std=core)
fi
case $1 in wasm32-*) flags="-C target-feature=+simd128" ;; esac
RUSTFLAGS=$flags cargo rustc --quiet --lib --profile c --features capi --crate-type staticlib \
  --target "$1" "${core[@]}" --target-dir "$folder" -- --cfg vesde_staticlib --emit obj="$folder/vesde.o"
rm -f "$folder.a"
case $1 in
  # with Rust's arithmetic, since there is no other
  wasm32-*) cp "$folder/$1/c/libvesde.a" "$folder.a" ;;
  *) llvm-ar-22 rcs "$folder.a" "$folder/vesde.o" ;;
esac
echo "bare $1: $(stat -c %s "$folder.a") bytes in $SECONDS s"
