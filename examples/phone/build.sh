#!/usr/bin/env bash
# The static library for a phone's app and for a web page, each with its headers:
# examples/phone/build.sh [TARGET...], into target/phone/TARGET. What is printed of each is read
# from the file. The one for Android is run too, on an emulated CPU and with glibc instead of
# bionic; a program for iOS needs Apple's SDK to be linked.
# Packages: those of ffi-tests/targets/env.sh, llvm-22; for the run gcc-aarch64-linux-gnu
# libc6-dev-arm64-cross qemu-user
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly dir=$PWD/target/phone
readonly limit=$((360 * 1024)) # bytes of a stripped library
# The functions that the library has: the header's, but for those that are inline.
header=$(sed '/^static inline/d' include/vesde.h | grep -oE '\bvesde_[a-z0-9_]+\(' | tr -d '(' | sort -u)

symbols() { # KIND FILE: sorted, without the $prefix that Apple's compilers put before each
  llvm-nm-22 "--$1" --extern-only --format=just-symbols "$2" | sed -E "/:\$/d; /^\$/d; s/^$prefix//" | sort -u
}

pack() { # TARGET
  local target=$1 out=$dir/$1 prefix='' objects file size undefined
  # hidden symbols, and bitcode
  local strip=(--strip-unneeded --remove-section .llvmbc --remove-section .llvmcmd)
  case $target in
    *-apple-*)
      prefix=_
      strip=(--strip-debug --discard-all --remove-section __LLVM,__bitcode --remove-section __LLVM,__cmdline)
      ;;
  esac
  rm -rf "$out"
  mkdir -p "$out/objects" "$out/include" "$out/lib"
  (cd "$out/objects" && llvm-ar-22 x "$OLDPWD/target/bare/$target.a")
  # After link-time optimisation one object holds all that is vesde's. What it lacks, every C
  # compiler's runtime has; the web has none.
  objects=("$out"/objects/vesde*.o)
  case $target in
    wasm32-*) objects+=("$out"/objects/compiler_builtins*.o) ;;
    *) for file in "${objects[@]}"; do llvm-objcopy-22 "${strip[@]}" "$file"; done ;;
  esac
  file=$out/lib/libvesde.a
  llvm-ar-22 rcs "$file" "${objects[@]}"
  rm -r "$out/objects"
  cp include/vesde.h include/vesde.hpp "$out/include/"

  size=$(stat -c %s "$file")
  diff <(echo "$header") <(symbols defined-only "$file" | grep '^vesde_')
  undefined=$(comm -23 <(symbols undefined-only "$file") <(symbols defined-only "$file"))
  echo "phone $target:" $(llvm-readobj-22 --file-headers "$file" | sed -nE 's/^ *(Format|Arch): //p' | sort -u) \
    "$(wc -l <<<"$header") functions, $size bytes, needs" $undefined
  if grep -vxE 'mem(cpy|move|set|cmp)|memset_pattern16|bzero|__[a-z0-9_]+|' <<<"$undefined"; then
    echo "phone $target: these should not be needed"
    return 1
  fi
  case $target in
    wasm32-*) ;; # a linker takes what is used
    *) if [ "$size" -ge "$limit" ]; then echo "phone $target: the limit is $limit bytes" && return 1; fi ;;
  esac
}

[ $# -gt 0 ] || set -- aarch64-linux-android aarch64-apple-ios wasm32-unknown-unknown
for target; do # what bare.sh has built is up to date
  ffi-tests/targets/archive.sh "$target"
  pack "$target"
  if [ "$target" = aarch64-linux-android ]; then
    aarch64-linux-gnu-gcc -O2 -ffp-contract=off -static -Iinclude ffi-tests/c/hashes.c "$dir/$target/lib/libvesde.a" -lm -o "$dir/hashes"
    echo "phone $target, run: $(qemu-aarch64 "$dir/hashes")"
  fi
done
