#!/usr/bin/env bash
# Makes the page in target/web, for any static file server.
# Needs rustup; Debian packages: clang-22 lld-22 wasi-libc
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly to=target/wasm page=target/web most=1000000 most_with_clothes=6000000
mkdir -p "$to"

ffi-tests/targets/archive.sh wasm32-unknown-unknown

# Of the C library there is strstr, strtoul, mathematics and memory, and nothing that calls a
# system. Functions stay apart because a browser optimises a function when it is called again: a
# sampler in one piece, called once, would stay slow.
module() { # module C-FILE WASM
  local object
  object=$to/$(basename "$1" .c).o
  clang-22 --target=wasm32-wasip1 -isystem /usr/include/wasm32-wasi -msimd128 -O3 -fno-inline-functions -ffp-contract=off \
    -fno-math-errno -Wall -Wextra -Werror -Iinclude -Iexamples/digits -c "$1" -o "$object"
  wasm-ld-22 --no-entry --gc-sections --strip-all --stack-first -z stack-size=65536 "$object" \
    target/bare/wasm32-unknown-unknown.a -L/usr/lib/wasm32-wasi -lc -o "$2"
}
rm -rf "$page"
mkdir -p "$page/clothes"
module examples/web/digits.c "$page/digits.wasm"
module examples/web/clothes/clothes.c "$page/clothes/clothes.wasm"
cp examples/web/{index.html,page.js,module.js,worker.js,clothes.js} examples/digits/{weights.safetensors,scheduler_config.json} "$page"
cp examples/fashion/{weights.safetensors,scheduler_config.json} "$page/clothes"

less_than() { # less_than BYTES FILE...
  local bytes=$1
  shift
  [ "$(cat "$@" | wc -c)" -lt "$bytes" ] || { echo "the page has more than $bytes bytes"; exit 1; }
}
(cd "$page" && wc -c ./*.* clothes/*)
less_than "$most" "$page"/*.*
less_than "$most_with_clothes" "$page"/*.* "$page"/clothes/*
