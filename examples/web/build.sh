#!/usr/bin/env bash
# Makes the page in target/web, for any static file server.
# Debian packages: rustc-web cargo-web rust-web-src clang-22 lld-22 wasi-libc
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly to=target/wasm page=target/web most=1000000
source ffi-tests/targets/env.sh
mkdir -p "$to"

ffi-tests/targets/archive.sh wasm32-unknown-unknown

# Of the C library there is strstr, strtoul and memory, and nothing that calls a system. Functions stay apart because a browser
# optimises a function when it is called again: a sampler in one piece, called once, would stay slow.
clang-22 --target=wasm32-wasip1 -isystem /usr/include/wasm32-wasi -msimd128 -O3 -fno-inline-functions -ffp-contract=off \
  -fno-math-errno -Wall -Wextra -Werror -Iinclude -Iexamples/digits -c examples/web/digits.c -o "$to/digits.o"
rm -rf "$page"
mkdir "$page"
wasm-ld-22 --no-entry --gc-sections --strip-all --stack-first -z stack-size=65536 "$to/digits.o" \
  target/bare/wasm32-unknown-unknown.a -L/usr/lib/wasm32-wasi -lc -o "$page/digits.wasm"
cp examples/web/{index.html,page.js,worker.js} examples/digits/{weights.safetensors,scheduler_config.json} "$page"

(cd "$page" && wc -c ./*)
[ "$(cat "$page"/* | wc -c)" -lt "$most" ] || { echo "the page has more than $most bytes"; exit 1; }
