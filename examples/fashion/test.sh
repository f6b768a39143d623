#!/usr/bin/env bash
# A small job of each kind, whose figures must be those of expected.txt. With --bless they are
# written there instead, as after another training.
set -euo pipefail
cd "$(dirname "$0")/../.."

case ${1:---check} in
  --check | --bless) mode=${1:---check} ;;
  *) echo "usage: $0 [--check | --bless]" >&2 && exit 2 ;;
esac
out=target/fashion
mkdir -p "$out"
cargo build --release -p vesde-fashion

fashion() { # fashion JOB OPTION...
  local start=$SECONDS
  cargo run --quiet --release -p vesde-fashion -- "$@" --output "$out/$1.png" "$mode" examples/fashion/expected.txt
  echo "fashion $1 in $((SECONDS - start)) s"
}
fashion sample --evaluations 8 --guidance 1.5
fashion inpaint --evaluations 8 --class ankle-boot
fashion interpolate --pairs 1 --tolerance 1e-3
fashion likelihood --pictures 1 --tolerance 1e-2
fashion restore --evaluations 8 --class bag
