#!/usr/bin/env bash
# Installs vesde with CMake, static and shared, and uses it as others do: find_package and pkg-config, before and after the prefix has
# been moved, and from its sources. Then what goes wrong must say so, and uninstalling must leave nothing. Needs cmake, make, pkg-config, cc,
# binutils and LLVM's nm (llvm-nm, or what NM names). `test.sh FOLDER` works there, by default in target/package.
set -euo pipefail
trap 'echo "failed in line $LINENO"' ERR
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(realpath -m "${1:-$root/target/package}")
nm=${NM:-llvm-nm}
rm -rf "$work"
mkdir -p "$work"
cd "$work"

quietly() { # runs a command, and shows its output only if it fails
  "$@" >log 2>&1 || { cat log; echo "failed: $*"; exit 1; }
}
fails_with() { # fails_with TEXT COMMAND...: the command fails, and says TEXT
  local text=$1
  shift
  if "$@" >log 2>&1 || ! grep -q "$text" <<<"$(tr -s '\n ' '  ' <log)"; then
    cat log
    echo "did not fail with \"$text\": $*"
    exit 1
  fi
}
runs() { # the user's program prints the first numbers of counter noise
  local said
  said=$("$@")
  [ "$said" = "success: 0.6917 0.6552 -0.3501 0.5693" ] || { echo "$* said: $said"; exit 1; }
}
use() { # use NAME PREFIX: builds the user's projects against an installed vesde, and once more by pkg-config
  quietly cmake -S "$here" -B "$1" -DCMAKE_PREFIX_PATH="$2"
  quietly cmake --build "$1"
  runs "$1/user"
  quietly cmake -S "$here/cpp" -B "$1/cpp" -DCMAKE_PREFIX_PATH="$2" -DCMAKE_CXX_STANDARD=17
  quietly cmake --build "$1/cpp"
  runs "$1/cpp/user"
  export PKG_CONFIG_PATH=$2/lib/pkgconfig
  # shellcheck disable=SC2046 # they are words
  cc "$here/user.c" -o "$1/by-pkg-config" $(pkg-config --cflags --libs vesde) -Wl,-rpath,"$2/lib"
  runs "$1/by-pkg-config"
}

for shared in OFF ON; do
  quietly cmake -S "$root" -B "build-$shared" -DBUILD_SHARED_LIBS=$shared -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_PREFIX="$work/prefix"
  quietly cmake --build "build-$shared"
  quietly cmake --install "build-$shared"
  use "user-$shared" "$work/prefix"
  mv prefix moved
  use "moved-$shared" "$work/moved"
  mv moved prefix
  if [ $shared = OFF ] && [ "$(uname)" = Linux ]; then
    # One object, in which the API is visible and nothing else, and which needs nothing but memory routines.
    [ "$(ar t prefix/lib/libvesde.a)" = vesde.o ]
    visible=$($nm --defined-only --extern-only --format=just-symbols prefix/lib/libvesde.a | grep -vE ':$|^$' | sort -u)
    grep -qx vesde_step_pred <<<"$visible"
    if grep -v '^vesde_' <<<"$visible"; then echo "visible besides the API"; exit 1; fi
    needed=$($nm --undefined-only --format=just-symbols prefix/lib/libvesde.a | grep -vE ':$|^$' | sort -u)
    grep -qx memcpy <<<"$needed"
    if grep -vxE 'mem(cpy|move|set|cmp)' <<<"$needed"; then echo "needed besides memory routines"; exit 1; fi
    bytes=$(size prefix/lib/libvesde.a | awk 'NR == 2 { print $4 }')
    echo "size $bytes bytes of code and data"
    # Beside another Rust library, which has a standard library and a panic handler of its own.
    rustc --edition 2024 --crate-type staticlib "$here/other.rs" -o libother.a
    cc -DOTHER "$here/user.c" -Iprefix/include prefix/lib/libvesde.a libother.a -lpthread -ldl -lm -o beside
    runs ./beside
    [ "$bytes" -lt $((256 * 1024)) ]
  fi
  if [ $shared = ON ]; then
    # Nothing is exported but the API, and programs ask for the library by its versioned name.
    exported=$($nm --dynamic --defined-only --extern-only --format=just-symbols prefix/lib/libvesde.so)
    grep -qx vesde_step_pred <<<"$exported"
    if grep -v '^vesde_' <<<"$exported"; then echo "exported besides the API"; exit 1; fi
    version=$(sed -n 's/^version = "\([0-9]*\.[0-9]*\).*/\1/p' "$root/Cargo.toml" | head -n 1)
    needed=$(ldd user-ON/user)
    grep -q "libvesde.so.$version " <<<"$needed"
  fi
  fails_with "99" cmake -S "$here" -B wrong -DCMAKE_PREFIX_PATH="$work/prefix" -DVERSION=99
  quietly cmake --build "build-$shared" --target uninstall
  left=$(find prefix -not -type d)
  [ -z "$left" ] || { echo "left behind: $left"; exit 1; }
  rm -rf prefix wrong
  echo "BUILD_SHARED_LIBS=$shared: installed, used, moved, uninstalled"
done

quietly cmake -S "$here" -B sources -DVESDE="$root"
quietly cmake --build sources
runs sources/user
fails_with "cargo was not found" cmake -S "$root" -B nocargo -DVESDE_CARGO=
echo "used from its sources; without cargo it says what is missing"
