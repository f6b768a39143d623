#!/usr/bin/env bash
# From a checkout to the pictures: installs ONNX Runtime, whose Python package carries the library,
# builds the program, samples clothes and compares. Needs Rust and Python with venv; all that it
# makes is under target.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly to=target/onnxruntime
. examples/stages.sh
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$to/build}

program() {
  cargo build --release --locked --manifest-path examples/onnxruntime/Cargo.toml
}

stage "ONNX Runtime" venv examples/onnxruntime/requirements.txt
stage "clothes-onnxruntime" program
library=$(ls "$PWD/$to"/venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*)
measure "onnxruntime, clothes" "$CARGO_TARGET_DIR/release/clothes-onnxruntime" "$library" examples/fashion/clothes.onnx "$to/clothes.png"
measure "onnxruntime, clothes and twenty.png" python examples/ggml/compare.py "$to/clothes.png" examples/fashion/twenty.png
