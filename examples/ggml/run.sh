#!/usr/bin/env bash
# From a checkout to the pictures: builds ggml from a source distribution that carries it, libvesde.a, the GGUF file and the program, samples
# on one thread and on two, and compares. Needs Rust, C and C++ compilers, and Python with pip; everything it makes is under target/ggml.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly source=stable_diffusion_cpp_python-0.4.7 to=target/ggml
export PATH="$PWD/$to/venv/bin:$PATH" CMAKE_GENERATOR=Ninja CMAKE_BUILD_TYPE=Release
mkdir -p "$to"

stage() { # stage NAME COMMAND...: shows what the command prints only if it fails
  local name=$1 start=$SECONDS
  shift
  if ! "$@" >"$to/log" 2>&1; then
    cat "$to/log"
    echo "$name: FAILED"
    exit 1
  fi
  echo "$name: $((SECONDS - start)) s"
}

tools() {
  python3 -m venv "$to/venv" && pip install --quiet -r examples/ggml/requirements.txt
}

download() { # pip asks a source distribution for its metadata, and gets the backend that it needs for that by itself
  [ -d "$to/$source" ] ||
    { pip download --quiet --no-deps --no-binary stable-diffusion-cpp-python --dest "$to" stable-diffusion-cpp-python==0.4.7 &&
      tar -C "$to" -xzf "$to/$source.tar.gz"; }
}

ggml() {
  cmake -S "$to/$source/vendor/stable-diffusion.cpp/ggml" -B "$to/ggml" -DCMAKE_INSTALL_PREFIX="$PWD/$to/install" \
    -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DGGML_BUILD_TESTS=OFF -DGGML_BUILD_EXAMPLES=OFF &&
    cmake --build "$to/ggml" && cmake --install "$to/ggml"
}

vesde() {
  RUSTFLAGS="--cfg vesde_staticlib" cargo rustc --lib --release --features capi --crate-type staticlib --target-dir "$to/vesde"
}

program() {
  cmake -S examples/ggml -B "$to/program" -DCMAKE_PREFIX_PATH="$PWD/$to/install" \
    -DVESDE_LIBRARY="$PWD/$to/vesde/release/libvesde.a" &&
    cmake --build "$to/program"
}

reference() {
  cc -O2 -ffp-contract=off -Iinclude examples/digits/digits.c "$to/vesde/release/libvesde.a" -lm -o "$to/digits" &&
    "$to/digits" "$to/reference.png"
}

sample() { # sample NAME THREADS [SEED STEPS loop]
  echo "$1: $("$to/program/digits-ggml" "$to/digits.gguf" "$to/$1" "${@:2}" 2>"$to/log" || cat "$to/log" >&2)"
}

stage "tools" tools
stage "ggml's source" download
stage "ggml" ggml
stage "libvesde.a" vesde
stage "digits.gguf" python examples/ggml/to_gguf.py "$to/digits.gguf"
stage "digits-ggml" program
stage "the C program's picture" reference
sample one-thread 1
sample two-threads 2
sample sampler 2 42 200 loop
cmp "$to/one-thread.f32" "$to/two-threads.f32" && echo "one thread and two: the same bits"
cmp "$to/one-thread.f32" "$to/sampler.f32" && echo "the graph's steps and vesde_sampler_next: the same bits"
echo "ggml's picture and the C program's: $(python examples/ggml/compare.py "$to/one-thread.png" "$to/reference.png")"
