#!/usr/bin/env bash
# From a checkout to the pictures: installs OpenVINO, whose Python package carries the C++ API,
# builds libvesde.a and the programs, samples digits and clothes, and compares. With --write the
# clothes become twenty.png, which they are compared with here and in examples/ggml: for other
# weights. Needs Rust, C and C++ compilers, CMake and Python with venv; all else that it makes is
# under target.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly to=target/openvino
. examples/stages.sh

program() {
  local package
  package=$(python -c 'import openvino.utils; print(openvino.utils.get_cmake_path())') &&
    cmake -S examples/openvino -B "$to/program" -DCMAKE_BUILD_TYPE=Release -DOpenVINO_DIR="$package" \
      -DVESDE_LIBRARY="$PWD/$vesde" &&
    cmake --build "$to/program"
}

stage "OpenVINO" venv examples/openvino/requirements.txt
stage "libvesde.a" archive
stage "clothes.onnx" python examples/fashion/export.py --output "$to/clothes.onnx"
stage "digits-openvino, clothes-openvino" program
stage "the C program's picture" reference png
for threads in 1 2; do
  measure "openvino, threads: $threads" "$to/program/digits-openvino" "$to/digits.png" 42 200 "$threads"
done
measure "openvino's picture and the C program's" python examples/ggml/compare.py "$to/digits.png" "$to/reference.png"
measure "openvino, clothes" "$to/program/clothes-openvino" "$to/clothes.onnx" "$to/clothes.png" --columns 2 --evaluations 10
[ "${1:-}" != --write ] || python examples/ggml/compare.py --shrink "$to/clothes.png" examples/fashion/twenty.png
measure "openvino, clothes and twenty.png" python examples/ggml/compare.py "$to/clothes.png" examples/fashion/twenty.png
