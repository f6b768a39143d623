#!/usr/bin/env bash
# macOS, FreeBSD and musl on another machine: zig links the C programs; it has macOS's and FreeBSD's
# headers and the symbols of their libraries. musl's programs run here; the others' files are read.
#
# Left out: docs.c, whose text cargo test makes; on macOS threads.c, since it has no barriers; C++
# except on arm64's macOS.
#
# Needs what .ci/run installs.
set -euo pipefail
trap 'echo "failed in line $LINENO"' ERR
cd "$(dirname "$0")/../.."
readonly to=$PWD/target/macos flags=(-Wall -Wextra -pedantic -Werror -O1 -ffp-contract=off -Iinclude)
# What zig builds of its own libraries goes here.
export ZIG_GLOBAL_CACHE_DIR=$to/cache ZIG_LOCAL_CACHE_DIR=$to/cache
mkdir -p "$to"
rm -f "$to"/{macos,freebsd,musl}-*
python3 -m venv "$to/venv"
"$to/venv/bin/pip" install --quiet ziglang==0.15.2
ziglang=$(echo "$to"/venv/lib/python3*/site-packages/ziglang)

ffi-tests/targets/archive.sh {x86_64,aarch64}-apple-darwin x86_64-unknown-{freebsd,linux-musl}
ffi-tests/targets/shared.sh {x86_64,aarch64}-apple-darwin x86_64-unknown-{freebsd,linux-musl}
header=$(sed '/^static inline/d' include/vesde.h | grep -oE '\bvesde_[a-z0-9_]+\(' | tr -d '(' | sort -u)

# programs NAME COMPILER...: those of C linked, as $to/NAME-PROGRAM
programs() {
  local source program
  for source in ffi-tests/c/*.c; do
    program=$(basename "$source" .c)
    case $1-$program in *-docs | macos-*-threads) continue ;; esac
    "${@:2}" -std=c11 "${flags[@]}" "$source" "$archive" -lm -o "$to/$1-$program"
  done
}
load_commands() { llvm-objdump-22 --macho --private-headers "$1" | tr -s ' \n' ' '; }

# ---- macOS ----

archive=$to/libvesde.a
llvm-lipo-22 -create target/bare/{x86_64,aarch64}-apple-darwin.a -output "$archive"
[ "$(llvm-lipo-22 -archs "$archive" | xargs)" = "x86_64 arm64" ]
echo "macos: a universal archive of $(stat -c %s "$archive") bytes"
sed 's/^/_/' <<<"$header" >"$to/exports"

for arch in x86_64 aarch64; do
  object=target/bare/$arch-apple-darwin/vesde.o
  case $arch in # Rust's least version of macOS
    x86_64) name=x86_64 read=X86_64 version="LC_VERSION_MIN_MACOSX cmdsize 16 version 10.12" ;;
    aarch64) name=arm64 read=ARM64 version="LC_BUILD_VERSION cmdsize 24 platform macos sdk n/a minos 11.0" ;;
  esac
  [[ "$(load_commands "$object")" == *" cmd $version "* ]]
  diff "$to/exports" <(llvm-nm-22 --defined-only --extern-only --format=just-symbols "$object" | sort)
  needs=$(llvm-nm-22 --undefined-only --format=just-symbols "$object" | sed 's/^_//')
  grep -qx memcpy <<<"$needs" # it must be there, or the list is not what it seems to be
  others=$(grep -vxE 'mem(cpy|move|set|cmp|set_pattern16)|_*bzero' <<<"$needs" || true)
  [ -z "$others" ]
  programs "macos-$arch" "$ziglang/zig" cc -target "$arch-macos.11.0"
  for program in "$to/macos-$arch"-*; do
    [[ "$(llvm-objdump-22 --macho --private-header "$program" | xargs)" == *" $read "*" EXECUTE "* ]]
  done
  echo "macos $arch: needs $(xargs <<<"$needs"); $(cut -d ' ' -f 1,4- <<<"$version" | xargs);" \
    "a library of $(stat -c %s "target/bare/$arch-apple-darwin/shared/libvesde.dylib") bytes;" \
    "$(printf '%s\n' "$to/macos-$arch"-* | wc -l) programs linked"
done
# Its C++ library is a part of the system, which is asked at run time; zig would build it in
# minutes.
"$ziglang/zig" c++ -target aarch64-macos.11.0 -std=c++17 -fno-exceptions -fno-rtti "${flags[@]}" -c ffi-tests/c/hpp.cpp -o "$to/hpp.o"
ld64.lld-22 -arch arm64 -platform_version macos 11.0 11.0 -undefined dynamic_lookup "$to/hpp.o" "$archive" \
  "$ziglang/lib/libc/darwin/libSystem.tbd" -o "$to/macos-aarch64-hpp"
needs=$(llvm-nm-22 --undefined-only --format=just-symbols "$to/macos-aarch64-hpp")
grep -q '^__Zn' <<<"$needs" # operator new
[[ "$needs" != *vesde* ]]
echo "macos aarch64: C++ linked; there is nothing to run these"

# ---- FreeBSD and musl ----

archive=target/bare/x86_64-unknown-freebsd.a
programs freebsd "$ziglang/zig" cc -target x86_64-freebsd
for program in "$to"/freebsd-*; do
  llvm-readelf-22 --program-headers "$program" | grep -F 'interpreter: /libexec/ld-elf.so.1]' >/dev/null
done
echo "freebsd: $(printf '%s\n' "$to"/freebsd-* | wc -l) programs linked"

archive=target/bare/x86_64-unknown-linux-musl.a
programs musl musl-gcc -static
for program in "$to"/musl-*; do
  said=$("$program" | tail -n 1)
  grep -qE '(^| )0 failures, simd level [0-9]$' <<<"$said"
  echo "musl ${program##*musl-}: $said"
done
