#!/usr/bin/env bash
# From a checkout to the picture: installs OpenVINO, whose Python package carries the C++ API, builds libvesde.a and the
# program, samples, and compares. Needs Rust, C and C++ compilers, CMake and Python with venv; all that it makes is under
# target.
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
stage "digits-openvino" program
stage "the C program's picture" reference png
for threads in 1 2; do
  measure "openvino, threads: $threads" "$to/program/digits-openvino" "$to/digits.png" 42 200 "$threads"
done
measure "openvino's picture and the C program's" python examples/ggml/compare.py "$to/digits.png" "$to/reference.png"
