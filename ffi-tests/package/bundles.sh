#!/usr/bin/env bash
# What .ci/bundles has made, used by a team that has no Rust: each archive is unpacked elsewhere and
# read back, and where there is a compiler and something that runs its programs, the user's project
# is built with CMake, static and shared, and by pkg-config.
# Needs cmake, pkg-config, llvm-22, gcc, musl-tools, gcc-mingw-w64-x86-64, wine64, qemu-user, and
# compilers for aarch64, armv7, riscv64 and s390x.
set -euo pipefail
trap 'echo "failed in line $LINENO"' ERR
cd "$(dirname "$0")/../.."
readonly made=$PWD/target/bundles work=$PWD/target/bundles-used
readonly said="success: 0.6917 0.6552 -0.3501 0.5693" # the first numbers of counter noise
export WINEPREFIX=$work/wine WINEDEBUG=-all
export WINEDLLOVERRIDES=mscoree,mshtml,winemenubuilder.exe= # what it would ask to be installed
rm -rf "$work"
mkdir -p "$work/no-rust"
for command in cargo rustc rustup; do # who calls one fails
  printf '#!/bin/sh\nexit 99\n' >"$work/no-rust/$command"
  chmod +x "$work/no-rust/$command"
done
export PATH=$work/no-rust:$PATH

quietly() { # runs a command, and shows its output only if it fails
  "$@" >"$work/log" 2>&1 || { cat "$work/log"; echo "failed: $*"; exit 1; }
}

runs() { # runs COMMAND...: the user's program
  local text
  text=$("$@" | tr -d '\r')
  [ "$text" = "$said" ] || { echo "$* said: $text"; exit 1; }
}

use() { # use SYSTEM PROCESSOR COMPILER [RUNNER...]
  local shared to
  export PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig
  for shared in OFF ON; do
    to=$work/use-$triple-$shared
    printf 'set(%s)\n' "CMAKE_SYSTEM_NAME $1" "CMAKE_SYSTEM_PROCESSOR $2" "CMAKE_C_COMPILER $3" \
      >"$to.cmake"
    quietly cmake -S ffi-tests/package -B "$to" -DCMAKE_TOOLCHAIN_FILE="$to.cmake" \
      -DBUILD_SHARED_LIBS=$shared -DCMAKE_PREFIX_PATH="$prefix"
    quietly cmake --build "$to"
    [ "$1$shared" != WindowsON ] || cp "$prefix/bin/vesde.dll" "$to"
    runs "${@:4}" "$(find "$to" -maxdepth 1 -name 'user*')"
    # shellcheck disable=SC2046 # they are words
    "$3" ffi-tests/package/user.c -o "$to/by-pkg-config" \
      $(pkg-config --cflags --libs vesde) $([ $shared = ON ] || echo -static)
  done
  echo "bundle $triple: static and shared, found by CMake and pkg-config, linked and run"
}

# licensed FOLDER: the library's licences are there, and that of libm, which has none of these
licensed() {
  cmp LICENSE-MIT "$1/LICENSE-MIT"
  cmp LICENSE-APACHE "$1/LICENSE-APACHE"
  grep -q "Rich Felker" "$1/LICENSE-libm"
}

# Whose projects find_package gives it to.
cat >"$work/suits.cmake" <<'END'
function(ask who name)
    set(CMAKE_SYSTEM_NAME ${name})
    foreach(variable IN LISTS ARGN)
        set(${variable} TRUE)
    endforeach()
    include(${FILE})
    if(NOT PACKAGE_VERSION_UNSUITABLE)
        message(STATUS ${who})
    endif()
endfunction()
ask(linux Linux UNIX)
ask(android Android ANDROID UNIX)
ask(freebsd FreeBSD UNIX)
ask(mingw Windows WIN32 MINGW)
ask(msvc Windows WIN32 MSVC)
ask(macos Darwin APPLE UNIX)
ask(ios iOS IOS APPLE UNIX)
END
suits() { # suits WHOM: and nobody else
  local whom
  whom=$(cmake -DFILE="$prefix/lib/cmake/vesde/vesde-config-version.cmake" -P "$work/suits.cmake")
  [ "$whom" = "-- $1" ] || { echo "$triple suits ${whom:-nobody}"; exit 1; }
}

format() { # what llvm-readobj says of a file
  llvm-readobj-22 --file-headers "$1" | sed -n 's/^ *\(Format\|Arch\): //p' | LC_ALL=C sort -u | xargs
}

(cd "$made" && sha256sum --check --quiet SHA256SUMS)
for archive in "$made"/*.tar.gz; do
  name=$(basename "$archive" .tar.gz)
  triple=${name#vesde-*.*.*-} prefix=$work/$name
  tar -C "$work" -xzf "$archive"
  diff -r include "$prefix/include"
  licensed "$prefix/share/licenses/vesde"
  case $triple in
    *-android*) suits android ;;
    *-linux-*) suits linux ;;
    *-freebsd) suits freebsd ;;
    *-windows-gnu) suits mingw ;;
    *-windows-msvc) suits msvc ;;
    *-darwin) suits macos ;;
    *-ios*) suits ios ;;
  esac
  case $triple in
    x86_64-*-windows-*) expected="COFF-x86-64 x86_64" ;;
    aarch64-*-windows-*) expected="COFF-ARM64 aarch64" ;;
    x86_64-apple-*) expected="Mach-O 64-bit x86-64 x86_64" ;;
    aarch64-apple-*) expected="Mach-O arm64 aarch64" ;;
    x86_64-*) expected="elf64-x86-64 x86_64" ;;
    i686-*) expected="elf32-i386 i386" ;;
    aarch64-*) expected="aarch64 elf64-littleaarch64" ;;
    armv7-*) expected="arm elf32-littlearm" ;;
    riscv64gc-*) expected="elf64-littleriscv riscv64" ;;
    s390x-*) expected="elf64-s390 s390x" ;;
    *) echo "$triple: its format is not known here" && exit 1 ;;
  esac
  for library in "$prefix"/lib/*vesde.{a,lib} "$prefix"/lib/libvesde.{so,dylib} "$prefix"/bin/*.dll; do
    [ ! -e "$library" ] || [ "$(format "$library")" = "$expected" ] ||
      { echo "$library: $(format "$library")"; exit 1; }
  done
  case $triple in
    x86_64-unknown-linux-gnu) use Linux x86_64 gcc ;;
    x86_64-unknown-linux-musl) use Linux x86_64 musl-gcc ;;
    aarch64-unknown-linux-gnu)
      use Linux aarch64 aarch64-linux-gnu-gcc qemu-aarch64 -L /usr/aarch64-linux-gnu
      ;;
    armv7-unknown-linux-gnueabihf)
      use Linux arm arm-linux-gnueabihf-gcc qemu-arm -L /usr/arm-linux-gnueabihf
      ;;
    riscv64gc-unknown-linux-gnu)
      use Linux riscv64 riscv64-linux-gnu-gcc qemu-riscv64 -L /usr/riscv64-linux-gnu
      ;;
    s390x-unknown-linux-gnu) use Linux s390x s390x-linux-gnu-gcc qemu-s390x -L /usr/s390x-linux-gnu ;;
    x86_64-pc-windows-gnu) use Windows x86_64 x86_64-w64-mingw32-gcc /usr/lib/wine/wine64 ;;
    *) echo "bundle $triple: unpacked, $expected" ;;
  esac
done
/usr/lib/wine/wineserver64 -k || true
rm -rf "$WINEPREFIX" # 700 MB
