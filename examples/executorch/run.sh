#!/usr/bin/env bash
# From a checkout to the pictures: installs ExecuTorch, whose Python package carries the C++ API,
# and torch, which makes its programs; builds libvesde.a and the program, samples clothes and
# compares. Needs Rust, C and C++ compilers and Python with venv; all that it makes is under target.
set -euo pipefail
cd "$(dirname "$0")/../.."
# torch is large: the folder is the one that .ci/run has for examples/parity.
readonly to=target/executorch venv=target/venv pictures=20
. examples/stages.sh

# Not what else ExecuTorch names, which is for other backends and for language models.
tools() {
  venv examples/executorch/requirements.txt &&
    pip install --quiet --no-deps --no-compile executorch==1.5.1 torchao==0.18.0
}

program() {
  local package
  package=$(python -c 'import executorch; print(*executorch.__path__)') &&
    cmake -S examples/executorch -B "$to/program" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$package" \
      -DVESDE_LIBRARY="$PWD/$vesde" &&
    cmake --build "$to/program"
}

stage "ExecuTorch" tools
stage "libvesde.a" archive
stage "clothes.pte" python examples/executorch/export.py "$to/clothes.pte" "$pictures"
stage "clothes-executorch" program
measure "executorch, clothes" "$to/program/clothes-executorch" "$to/clothes.pte" "$to/clothes.png" \
  --columns $((pictures / 10)) --evaluations 10
measure "executorch, clothes and twenty.png" python examples/ggml/compare.py "$to/clothes.png" examples/fashion/twenty.png
