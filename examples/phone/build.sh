#!/usr/bin/env bash
# Packages for Xcode and for Android's Gradle, and the static library for a web page:
#
#   build.sh [ios] [android] [web]     into target/phone, all by default
#
# All that is printed of a library is read from its file; check.py reads the packages back.
# Android's libraries are run, with glibc in bionic's place and emulated where the CPU is another.
# Programs for Apple's systems need Apple's SDK to be linked. Packages: those of
# ffi-tests/targets/archive.sh and shared.sh, libplist-utils; for the runs qemu-user gcc, and gcc
# and libc6-dev for aarch64, armhf and i686.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Where the owner puts the zipped framework: Package.swift's address.
readonly url=${VESDE_URL:-https://example.org/vesde}
readonly dir=$PWD/target/phone
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# The functions that the library has: the header's, except those that are inline.
header=$(sed '/^static inline/d' include/vesde.h | grep -oE '\bvesde_[a-z0-9_]+\(' | tr -d '(' |
  sort -u)

symbols() { # KIND FILE: sorted, without the $prefix that Apple's compilers put before each
  llvm-nm-22 "--$1" --extern-only --format=just-symbols "$2" |
    sed -E "/:\$/d; /^\$/d; s/^$prefix//" | sort -u
}

pack() { # TARGET: the stripped library with its headers
  local target=$1 out=$dir/$1 prefix='' limit=$((360 * 1024)) objects file size undefined
  # Names of what cannot be seen, and bitcode.
  local strip=(--remove-section .llvmbc --remove-section .llvmcmd)
  case $target in
    *-apple-*)
      prefix=_
      # Private names stay: without them llvm-objcopy's relocations are wrong.
      strip=(--strip-debug --remove-section __LLVM,__bitcode --remove-section __LLVM,__cmdline)
      ;;
    wasm32-*) strip+=(--strip-debug) ;;
    *) strip+=(--strip-unneeded) ;;
  esac
  rm -rf "$out"
  mkdir -p "$out/objects" "$out/include" "$out/lib"
  (cd "$out/objects" && llvm-ar-22 x "$OLDPWD/target/bare/$target.a")
  # After link-time optimisation one object holds all that is vesde's. What it lacks, every C
  # compiler's runtime has; the web has none.
  objects=("$out"/objects/vesde*.o)
  case $target in wasm32-*) objects+=("$out"/objects/compiler_builtins*.o) ;; esac
  file=$out/lib/libvesde.a
  llvm-ar-22 rcs "$file" "${objects[@]}"
  llvm-objcopy-22 "${strip[@]}" "$file"
  rm -r "$out/objects"
  cp include/vesde.h include/vesde.hpp "$out/include/"

  size=$(stat -c %s "$file")
  diff <(echo "$header") <(symbols defined-only "$file" | grep '^vesde_')
  undefined=$(comm -23 <(symbols undefined-only "$file") <(symbols defined-only "$file"))
  echo "phone $target:" \
    $(llvm-readobj-22 --file-headers "$file" | sed -nE 's/^ *(Format|Arch): //p' | sort -u) \
    "$(wc -l <<<"$header") functions, $size bytes, needs" $undefined
  if grep -vxE 'mem(cpy|move|set|cmp)|memset_pattern16|bzero|_GLOBAL_OFFSET_TABLE_|__[a-z0-9_]+|' \
    <<<"$undefined"; then
    echo "phone $target: these should not be needed"
    return 1
  fi
  case $target in
    wasm32-*) return ;;                        # a linker takes what is used
    x86_64-* | i686-*) limit=$((2 * limit)) ;; # with AVX2's and AVX-512's kernels
  esac
  if [ "$size" -ge "$limit" ]; then echo "phone $target: the limit is $limit bytes" && return 1; fi
}

twice() { # PACKAGE ARGUMENTS...: packs it, again after a while, and has the same bytes
  examples/phone/pack.py "${@:2}"
  mv "$dir/$1" "$dir/before"
  find "$dir" -exec touch {} +
  examples/phone/pack.py "${@:2}" >"$dir/log"
  cmp "$dir/before" "$dir/$1"
  rm "$dir/before" "$dir/log"
}

# ---- iOS and macOS ----

slice() { # NAME TARGET...: one library for an operating system's processors
  local libraries=("${@:2}")
  libraries=("${libraries[@]/#/$dir/}")
  mkdir -p "$dir/vesde.xcframework/$1"
  llvm-lipo-22 -create "${libraries[@]/%//lib/libvesde.a}" \
    -output "$dir/vesde.xcframework/$1/libvesde.a"
}

ios() {
  local target targets=({aarch64,x86_64}-apple-darwin aarch64-apple-ios aarch64-apple-ios-sim
    x86_64-apple-ios)
  ffi-tests/targets/archive.sh "${targets[@]}"
  for target in "${targets[@]}"; do pack "$target"; done
  rm -rf "$dir/vesde.xcframework" "$dir"/vesde-*.xcframework.zip
  slice ios-arm64 aarch64-apple-ios
  slice ios-arm64_x86_64-simulator aarch64-apple-ios-sim x86_64-apple-ios
  slice macos-arm64_x86_64 aarch64-apple-darwin x86_64-apple-darwin
  twice "vesde-$version.xcframework.zip" xcframework "$version" "$url"
}

# ---- Android ----

# run TARGET COMPILER LIBRARIES EMULATOR...: the committed hashes, with the static library and with
# the shared one.
run() {
  local target=$1 compiler=$2 libraries=$3 emulator=("${@:4}")
  local folder=$dir/$1/run include=include flags=() kind said
  mkdir -p "$folder"
  ln -sf "$libraries/libc.so.6" "$folder/libc.so" # by the name that bionic's has
  cp "$dir/$target/lib/libvesde.so" "$folder/"
  case $target in
    # Android's functions take floats in integer registers, this C library's do not. So each is
    # declared; and the loader, which refuses the flag that says so, is not told.
    armv7-*)
      include=$folder
      sed -E '/^(static inline| |\/)/!s/^.*\bvesde_[a-z0-9_]+\(/__attribute__((pcs("aapcs"))) &/' \
        include/vesde.h >"$folder/vesde.h"
      flags=(-Wl,--no-warn-mismatch)
      printf '\0' | dd of="$folder/libvesde.so" bs=1 seek=37 conv=notrunc status=none
      ;;
    i686-*) flags=(-msse2 -mfpmath=sse) ;;
  esac
  flags+=(-O2 -ffp-contract=off "-I$include" ffi-tests/c/hashes.c -o "$folder/hashes")
  for kind in static shared; do
    case $kind in
      static) "$compiler" -static "${flags[@]}" "$dir/$target/lib/libvesde.a" -lm ;;
      shared) "$compiler" "${flags[@]}" "$folder/libvesde.so" -Wl,-rpath-link,"$folder" -lm ;;
    esac
    said=$("${emulator[@]}" "$folder/hashes")
    echo "phone $target, $kind: $said"
  done
}

android() {
  local row target abi module to rows=(aarch64-linux-android:arm64-v8a
    armv7-linux-androideabi:armeabi-v7a x86_64-linux-android:x86_64 i686-linux-android:x86)
  ffi-tests/targets/archive.sh "${rows[@]%%:*}"
  ffi-tests/targets/shared.sh "${rows[@]%%:*}"
  rm -rf "$dir/aar" "$dir"/vesde-*.aar
  for row in "${rows[@]}"; do
    IFS=: read -r target abi <<<"$row"
    pack "$target"
    cp "target/bare/$target/shared/libvesde.so" "$dir/$target/lib/"
    for module in vesde:so vesde_static:a; do
      to=$dir/aar/prefab/modules/${module%:*}/libs/android.$abi
      mkdir -p "$to"
      cp "$dir/$target/lib/libvesde.${module#*:}" "$to/"
    done
  done
  twice "vesde-$version.aar" aar "$version"

  local path=LD_LIBRARY_PATH=$dir system
  target=aarch64-linux-android system=/usr/aarch64-linux-gnu
  run $target aarch64-linux-gnu-gcc $system/lib qemu-aarch64 -L $system -E "$path/$target/run"
  target=armv7-linux-androideabi system=/usr/arm-linux-gnueabihf
  run $target arm-linux-gnueabihf-gcc $system/lib qemu-arm -L $system -E "$path/$target/run"
  target=x86_64-linux-android
  run $target gcc /lib/x86_64-linux-gnu env "$path/$target/run"
  target=i686-linux-android system=/usr/i686-linux-gnu
  run $target i686-linux-gnu-gcc $system/lib $system/lib/ld-linux.so.2 \
    --library-path "$dir/$target/run:$system/lib"
}

web() {
  ffi-tests/targets/archive.sh wasm32-unknown-unknown
  pack wasm32-unknown-unknown
}

[ $# -gt 0 ] || set -- ios android web
.ci/licenses "$dir/licenses"
for part; do
  case $part in
    ios | android)
      "$part"
      examples/phone/check.py "$part"
      ;;
    web) web ;;
    *) echo "no part is called $part" >&2 && exit 1 ;;
  esac
done
