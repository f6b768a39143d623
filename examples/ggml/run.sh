#!/usr/bin/env bash
# From a checkout to the pictures: builds ggml from a source distribution that carries it,
# libvesde.a, the GGUF files and the programs, samples digits on one thread and on two, and clothes,
# and compares.
# Needs Rust, C and C++ compilers and Python with venv; all that it makes is under target.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly package=stable-diffusion-cpp-python version=0.4.7 to=target/ggml
readonly source=$to/${package//-/_}-$version
. examples/stages.sh
export CMAKE_GENERATOR=Ninja CMAKE_BUILD_TYPE=Release

# pip asks a source distribution for its metadata, and gets the build backend for that by itself.
download() {
  [ -d "$source" ] || {
    pip download --quiet --no-deps --no-binary "$package" --dest "$to" "$package==$version" &&
      tar -C "$to" -xzf "$source.tar.gz"
  }
}

# Without OpenMP, so that the threads are ggml's own.
ggml() {
  cmake -S "$source/vendor/stable-diffusion.cpp/ggml" -B "$to/ggml" \
    -DCMAKE_INSTALL_PREFIX="$PWD/$to/install" -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=OFF \
    -DGGML_OPENMP=OFF -DGGML_BUILD_TESTS=OFF -DGGML_BUILD_EXAMPLES=OFF &&
    cmake --build "$to/ggml" && cmake --install "$to/ggml"
}

program() {
  cmake -S examples/ggml -B "$to/program" -DCMAKE_PREFIX_PATH="$PWD/$to/install" \
    -DVESDE_LIBRARY="$PWD/$vesde" &&
    cmake --build "$to/program"
}

sample() { # sample NAME THREADS
  measure "$1" "$to/program/digits-ggml" "$to/digits.gguf" "$to/$1" "$2"
}

stage "tools" venv examples/ggml/requirements.txt
stage "ggml's source" download
stage "ggml" ggml
stage "libvesde.a" archive
stage "digits.gguf" python examples/ggml/to_gguf.py digits "$to/digits.gguf"
stage "clothes.gguf" python examples/ggml/to_gguf.py fashion "$to/clothes.gguf"
stage "digits-ggml, clothes-ggml" program
stage "the C program's picture" reference png
stage "vesde_sampler_next" "$to/program/digits-ggml" "$to/digits.gguf" "$to/sampler" 1 42 200 loop
sample one-thread 1
sample two-threads 2
stage "one thread's bits are two threads'" cmp "$to/one-thread.f32" "$to/two-threads.f32"
stage "and those of vesde_sampler_next" cmp "$to/one-thread.f32" "$to/sampler.f32"
measure "ggml's picture and the C program's" python examples/ggml/compare.py "$to/one-thread.png" "$to/reference.png"
measure "ggml, clothes" "$to/program/clothes-ggml" "$to/clothes.gguf" "$to/clothes.png" --columns 2 --evaluations 10
measure "ggml, clothes and twenty.png" python examples/ggml/compare.py "$to/clothes.png" examples/fashion/twenty.png
