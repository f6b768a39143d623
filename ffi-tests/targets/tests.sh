#!/usr/bin/env bash
# tests.sh FOLDER: a package there of the library and its tests alone, since for any test cargo
# builds what examples need too.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "$1"
for path in *; do
  [[ $path = target || $path = Cargo.* ]] || ln -sfn "$PWD/$path" "$1/$path"
done
cp Cargo.lock "$1/"
awk '/^\[/ { section = $0 }
  section ~ /example|workspace/ || section ~ /dev-dependencies/ && !/^\[|^rand_xoshiro/ { next }
  { print }
  END { print "[workspace]" }' Cargo.toml >"$1/Cargo.toml"
