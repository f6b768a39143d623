#!/usr/bin/env bash
# What a new user does: a copy of the sources in an empty folder, and there the README's commands,
# in Rust, in C by CMake and in Python, each to a picture, timed. A command that the README
# (in Python python/README.md) does not have fails. Then what else the programs in Rust and C do.
set -euo pipefail
trap 'echo "failed in line $LINENO"' ERR
cd "$(dirname "$0")/../.."
readonly work=$PWD/target/journeys
rm -rf "$work"
mkdir -p "$work"
git clone --quiet . "$work/vesde"
cd "$work/vesde"
unset CARGO_TARGET_DIR

said() { # said FILE: its text in one line, with continued commands joined
  sed -e ':a' -e '/\\$/ { N; s/\\\n *//; ba }' "$1" | tr -s '\n ' '  '
}

journey() { # journey NAME README PICTURE COMMAND...
  local name=$1 readme=$2 picture=$3 start=$SECONDS command text
  text=$(said "$readme")
  for command in "${@:4}"; do
    [[ $text == *"$command"* ]] || { echo "$readme does not say: $command"; exit 1; }
    bash -euo pipefail -c "$command" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  done
  [ -s "$picture" ]
  echo "journey $name: $(($# - 3)) commands, $((SECONDS - start)) s"
}

# digits PROGRAM FLAGS...: a picture with each of these
digits() {
  local flags
  for flags in "${@:2}"; do
    # shellcheck disable=SC2086 # they are words
    "$1" $flags >"$work/log" || { cat "$work/log"; exit 1; }
    [ -s picture.png ] || { echo "no picture: $*"; exit 1; }
    rm picture.png
  done
  echo "journey, $1: $(($# - 1)) other pictures"
}

journey "in Rust" README.md digits.png "cargo run --release --example digits"
rm digits.png
example=target/release/examples/digits
digits $example "--output picture.png "{"--sampler pc","--predictor none --corrector ncsnv2"} \
  "--output picture.png "{"--ode 1e-5",--inpaint,--encode}
$example --likelihood --ode 1e-3
journey "in C by CMake" README.md digits.png \
  "cmake -B build && cmake --build build && cmake --install build --prefix prefix" \
  "cmake -S examples/digits -B app -DCMAKE_PREFIX_PATH=\$PWD/prefix && cmake --build app" \
  "app/digits"
rm digits.png
digits app/digits {"--ode 1e-5",--inpaint}" picture.png"
python3 -m venv venv # as everybody has one
PATH=$PWD/venv/bin:$PATH
journey "in Python" python/README.md digits.png \
  "pip install ./python" "python examples/digits/digits.py"
