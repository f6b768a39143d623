#!/usr/bin/env bash
# Windows without Windows: the C programs, as MinGW builds them and as MSVC's linker does (lld-link,
# with the little of an SDK that is in windows/), run by Wine; and a DLL for both of MSVC's
# processors. A program with the x86-64 DLL is run; nothing here runs arm64's.
#
# Left out: faults.c, which needs mmap; docs.c, whose text cargo test makes; with MSVC programs that
# need more of an SDK, and paper.c, since Wine 8's exp(-1e5) is -99999.
#
# Needs what .ci/run installs.
set -euo pipefail
trap 'echo "failed in line $LINENO"' ERR
cd "$(dirname "$0")/../.."
readonly to=target/windows sdk=ffi-tests/targets/windows native=x86_64-unknown-linux-musl
readonly warnings=(-Wall -Wextra -pedantic -Werror) float=(-O1 -ffp-contract=off -Iinclude)
export WINEPREFIX=$PWD/$to/wine WINEDEBUG=-all
# what it would ask to be installed, and menus
export WINEDLLOVERRIDES=mscoree,mshtml,winemenubuilder.exe=
rm -rf "$to"
mkdir -p "$to/gnu" "$to/x86_64" "$to/aarch64"
trap 'wineserver -k || true; rm -rf "$WINEPREFIX"' EXIT # 700 MB

wine() { timeout 300 /usr/lib/wine/wine64 "$@"; }
wineserver() { /usr/lib/wine/wineserver64 "$@"; }

passes() { # passes NAME PROGRAM: it has no failure; the last line is the report
  local said
  said=$(wine "$2") || { echo "windows $1: failed"; exit 1; }
  said=$(tail -n 1 <<<"$said" | tr -d '\r')
  grep -qE '(^| )0 failures, simd level [0-9]$' <<<"$said" || { echo "windows $1: $said"; exit 1; }
  echo "windows $1: $said"
}

ffi-tests/targets/archive.sh {x86_64-pc-windows-{gnu,msvc},aarch64-pc-windows-msvc,$native}
ffi-tests/targets/shared.sh {x86_64-pc-windows-{gnu,msvc},aarch64-pc-windows-msvc}
wine wineboot --init

# ---- MinGW ----

for source in ffi-tests/c/*.c*; do
  name=$(basename "${source%.c*}")
  compiler=(gcc -std=c11)
  case $source in
    */faults.c | */docs.c) continue ;;
    *.cpp) compiler=(g++-posix -std=c++17 -fno-exceptions -fno-rtti) ;;
  esac
  x86_64-w64-mingw32-"${compiler[@]}" "${warnings[@]}" "${float[@]}" "$source" target/bare/x86_64-pc-windows-gnu.a \
    -static -pthread -o "$to/gnu/$name.exe"
  passes "gnu $name" "$to/gnu/$name.exe"
done

cp target/bare/x86_64-pc-windows-gnu/shared/vesde.dll "$to/gnu"
x86_64-w64-mingw32-gcc -std=c11 "${float[@]}" ffi-tests/c/hashes.c target/bare/x86_64-pc-windows-gnu/shared/libvesde.dll.a \
  -o "$to/gnu/shared.exe"
passes "gnu hashes with vesde.dll" "$to/gnu/shared.exe"

cc -O2 -ffp-contract=off -Iinclude examples/digits/digits.c target/bare/$native.a -lm -o "$to/digits"
x86_64-w64-mingw32-gcc -O2 -ffp-contract=off -Iinclude examples/digits/digits.c target/bare/x86_64-pc-windows-gnu.a -o "$to/digits.exe"
"$to/digits" "$to/native.png"
wine "$to/digits.exe" "$to/windows.png"
cmp "$to/native.png" "$to/windows.png"
echo "windows gnu digits: the native program's $(stat -c %s "$to/windows.png") bytes"

# ---- MSVC ----

for processor in x86_64 aarch64; do
  triple=$processor-pc-windows-msvc dir=$to/$processor
  case $processor in
    x86_64) machine=i386:x86-64 read=COFF-x86-64 ;;
    aarch64) machine=arm64 read=COFF-ARM64 ;;
  esac
  clang=(clang-22 --target="$triple" -std=c11 "${warnings[@]}" "${float[@]}" -ffreestanding -isystem "$sdk")
  llvm-readobj-22 --file-headers "target/bare/$triple/vesde.o" | grep -x "Format: $read" >/dev/null
  llvm-dlltool-22 -m $machine -d "$sdk/msvcrt.def" -l "$dir/msvcrt.lib"
  cp "target/bare/$triple/shared/vesde.dll" "$dir"
  # The header as that compiler's users have it, in both languages; vesde.hpp needs their C++
  # library.
  echo '#include "vesde.h"' >"$dir/header.c"
  for language in "/TC /std:c11" "/TP /std:c++17"; do
    # shellcheck disable=SC2086 # two words
    clang-22 --driver-mode=cl --target="$triple" /nologo /W4 /WX /Zs /clang:-ffreestanding /Iinclude $language "$dir/header.c"
  done
  echo "windows msvc $processor: $read, vesde.dll of $(stat -c %s "$dir/vesde.dll") bytes," \
    "the header passes clang-cl /W4"

  "${clang[@]}" -DPROGRAM -c "$sdk/runtime.c" -o "$dir/runtime.obj"
  link=(lld-link-22 /nologo /subsystem:console /entry:start "$dir/runtime.obj" "$dir/msvcrt.lib")
  for name in hashes golden abi sampling samplers; do
    "${clang[@]}" -c "ffi-tests/c/$name.c" -o "$dir/$name.obj"
    "${link[@]}" "$dir/$name.obj" "target/bare/$triple.a" /out:"$dir/$name.exe"
    [ $processor = aarch64 ] || passes "msvc $name" "$dir/$name.exe"
  done
  "${link[@]}" "$dir/hashes.obj" "target/bare/$triple/shared/vesde.dll.lib" /out:"$dir/shared.exe"
  llvm-readobj-22 --coff-imports "$dir/shared.exe" | grep -x '  Name: vesde.dll' >/dev/null
  [ $processor = aarch64 ] || passes "msvc hashes with vesde.dll" "$dir/shared.exe"
done
echo "windows msvc aarch64: programs linked; there is nothing to run them"
