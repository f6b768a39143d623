#!/usr/bin/env bash
# Builds the page and the native programs, and uses the page as a visitor would (test.py); leaves
# screenshots, target/web-test*.png.
# Debian packages: build.sh's, gcc libc6-dev python3 chromium chromium-driver fonts-dejavu-core
set -euo pipefail
cd "$(dirname "$0")/../.."

examples/web/build.sh
cargo rustc --lib --profile c --features capi --crate-type staticlib --target-dir target/ffi -- --cfg vesde_staticlib \
  --emit obj=target/ffi/vesde.o
cc -O2 -ffp-contract=off -Iinclude examples/digits/digits.c target/ffi/vesde.o -lm -o target/wasm/digits
cc -O2 -ffp-contract=off -Iinclude -Iexamples/digits examples/web/clothes/{clothes,native}.c target/ffi/vesde.o -lm \
  -o target/wasm/clothes
python3 examples/web/test.py target/web target/wasm target/web-test
