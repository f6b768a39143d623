#!/usr/bin/env bash
# From a checkout to the comparison: gets stable-diffusion.cpp from a source distribution that
# carries it, puts vesde into a copy of its headers, and runs both. Needs Rust, a C++17 compiler,
# CMake and Python with venv; all that it makes is under target.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly package=stable-diffusion-cpp-python version=0.4.7 to=target/stable-diffusion-cpp
readonly source=$to/${package//-/_}-$version
readonly engine=$source/vendor/stable-diffusion.cpp
. examples/stages.sh

# pip asks a source distribution for its metadata, and gets the build backend for that by itself.
download() {
  [ -d "$source" ] || {
    python3 -m venv "$to/venv" &&
      pip download --quiet --no-deps --no-binary "$package" --dest "$to" "$package==$version" &&
      tar -C "$to" -xzf "$source.tar.gz"
  }
}

program() {
  cmake -S examples/stable-diffusion-cpp -B "$to/program" -DCMAKE_BUILD_TYPE=Release \
    -DENGINE="$PWD/$engine" -DPATCHED="$PWD/$to/patched" -DVESDE_LIBRARY="$PWD/$vesde" &&
    cmake --build "$to/program"
}

stage "stable-diffusion.cpp's source" download
rm -rf "$to/patched"
measure "stable-diffusion-cpp, patch" \
  python3 examples/stable-diffusion-cpp/patch.py "$engine/src" "$to/patched"
stage "libvesde.a" archive
stage "both sides, and the engine's main source on the patched headers" program
"$to/program/harness" ffi-tests/vectors
