#!/usr/bin/env bash
# Installs vesde with CMake, static and shared, and uses it as others do: by find_package and
# pkg-config, before and after the prefix has been moved, and from its sources, even if only some of
# them are there. Then for other machines, by toolchain file and by the README's command. What goes
# wrong must say so, and uninstalling must leave nothing. Needs rustup, cmake, make, pkg-config, cc,
# c++, binutils, LLVM's nm (llvm-nm, or what NM names) and Debian's qemu-user, gcc-mingw-w64-x86-64,
# musl-tools, the compilers gcc-TARGET of the list at the end, and what archive.sh needs.
# `test.sh FOLDER` works there, by default in target/package.
set -euo pipefail
trap 'echo "failed in line $LINENO"' ERR
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(realpath -m "${1:-$root/target/package}")
nm=${NM:-llvm-nm}
build=part/_deps/vesde-build # where the other project has it
# What may be set for other packages changes nothing here.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_PANIC=unwind CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
rm -rf "$work"
mkdir -p "$work"
cd "$work"

quietly() { # runs a command, and shows its output only if it fails
  "$@" >"$work/log" 2>&1 || { cat "$work/log"; echo "failed: $*"; exit 1; }
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
# use NAME PREFIX: builds the user's projects against an installed vesde, and once more by
# pkg-config
use() {
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

symbols() { # symbols KIND FILE: of that kind, sorted
  $nm "--$1" --extern-only --format=just-symbols "$2" | grep -vE ':$|^$' | sort -u
}
only() { # only PATTERN ONE <LIST: all lines match; ONE must be there, or the list is wrong
  local list
  list=$(cat)
  grep -qx "$2" <<<"$list"
  if grep -vxE "$1" <<<"$list"; then echo "these are not $1"; exit 1; fi
}

# In an older standard than the headers', the compiler says what is wrong.
for header in vesde.h vesde.hpp; do echo "#include \"$header\"" >"$header.c"; done
fails_with "vesde.h is C99" cc -std=gnu89 -I"$root/include" -fsyntax-only vesde.h.c
fails_with "vesde.hpp is C++17" c++ -std=gnu++14 -I"$root/include" -fsyntax-only -x c++ vesde.hpp.c
fails_with "vesde.hpp is C++17" cc -I"$root/include" -fsyntax-only vesde.hpp.c
quietly cc -std=c99 -I"$root/include" -fsyntax-only vesde.h.c
quietly c++ -std=c++98 -I"$root/include" -fsyntax-only -x c++ vesde.h.c
quietly c++ -std=c++17 -I"$root/include" -fsyntax-only -x c++ vesde.hpp.c

# From sources without benches/ and read-only. Root can write all the same, so it is checked that
# nothing was written.
mkdir sources
tar -C "$root" --exclude=target --exclude=./benches --exclude=./.git -c . | tar -C sources -x
chmod -R a-w sources
touch before

for shared in OFF ON; do
  # In one folder, or cargo would make the object twice.
  quietly cmake -S sources -B "$build" -DBUILD_SHARED_LIBS=$shared -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_PREFIX="$work/prefix"
  quietly cmake --build "$build"
  quietly cmake --install "$build"
  cmp "$root/LICENSE-MIT" prefix/share/licenses/vesde/LICENSE-MIT
  cmp "$root/LICENSE-APACHE" prefix/share/licenses/vesde/LICENSE-APACHE
  use "user-$shared" "$work/prefix"
  mv prefix moved
  use "moved-$shared" "$work/moved"
  mv moved prefix
  if [ $shared = OFF ] && [ "$(uname)" = Linux ]; then
    # One object, in which the API is visible and nothing else, and which needs nothing but memory
    # routines.
    [ "$(ar t prefix/lib/libvesde.a)" = vesde.o ]
    symbols defined-only prefix/lib/libvesde.a | only 'vesde_.*' vesde_step_pred
    symbols undefined-only prefix/lib/libvesde.a | only 'mem(cpy|move|set|cmp)' memcpy
    cc "$here/user.c" -Iprefix/include -Wl,--whole-archive prefix/lib/libvesde.a -Wl,--no-whole-archive -o whole
    runs ./whole
    bytes=$(size prefix/lib/libvesde.a | awk 'NR == 2 { print $4 }')
    echo "size $bytes bytes of code and data"
    # Beside another Rust library, which has a standard library and a panic handler of its own.
    rustc --edition 2024 --crate-type staticlib "$here/other.rs" -o libother.a
    cc -DOTHER "$here/user.c" -Iprefix/include prefix/lib/libvesde.a libother.a -lpthread -ldl -lm -o beside
    runs ./beside
    [ "$bytes" -lt $((448 * 1024)) ]
  fi
  if [ $shared = ON ]; then
    # Nothing is exported but the API, and programs ask for the library by its versioned name.
    $nm --dynamic --defined-only --extern-only --format=just-symbols prefix/lib/libvesde.so | only 'vesde_.*' vesde_step_pred
    version=$(sed -n 's/^version = "\([0-9]*\.[0-9]*\).*/\1/p' "$root/Cargo.toml" | head -n 1)
    needed=$(ldd user-ON/user)
    grep -q "libvesde.so.$version " <<<"$needed"
  fi
  fails_with "99" cmake -S "$here" -B wrong -DCMAKE_PREFIX_PATH="$work/prefix" -DVERSION=99
  quietly cmake --build "$build" --target uninstall
  left=$(find prefix -not -type d)
  [ -z "$left" ] || { echo "left behind: $left"; exit 1; }
  rm -rf prefix wrong
  echo "BUILD_SHARED_LIBS=$shared: installed, used, moved, uninstalled"
done

# As a part of another project, which installs itself, and vesde with it unless it says no. CMake's
# target counts, not what a variable tells cargo, which has made the object already.
find "$build" -mindepth 1 -maxdepth 1 ! -name cargo -exec rm -r {} +
CARGO_BUILD_TARGET=no-such-target quietly cmake -S "$here" -B part -DVESDE="$work/sources" -DCMAKE_INSTALL_LIBDIR=lib
CARGO_BUILD_TARGET=no-such-target quietly cmake --build part
runs part/user
quietly cmake --install part --prefix "$work/prefix"
cmp "$root/LICENSE-MIT" prefix/share/licenses/vesde/LICENSE-MIT
runs prefix/bin/user
use user-part "$work/prefix"
rm -r prefix
quietly cmake -S "$here" -B part -DVESDE_INSTALL=OFF
quietly cmake --install part --prefix "$work/prefix"
[ "$(find prefix -type f)" = prefix/bin/user ]
# In the folder that has what a header is made with.
quietly cargo doc --manifest-path sources/Cargo.toml --all-features --no-deps --target-dir "$root/target"
[ -s "$root/target/doc/vesde/index.html" ]
changed=$(find sources -newer before)
[ -z "$changed" ] || { echo "written into the sources: $changed"; exit 1; }
chmod -R u+w sources
echo "a part of another project, without benches/, and documentation, from read-only sources"

fails_with "cargo was not found" cmake -S "$root" -B nocargo -DVESDE_CARGO=
for says in "echo cargo 1.63.0 (fd9c4297c 2022-07-01)" "echo cargo 1.88.9" "echo nothing"; do
  printf '#!/bin/sh\necho "%s"\n' "${says#echo }" >cargo
  chmod +x cargo
  case $says in
    *nothing) text="was asked for its version and says: nothing" ;;
    *) text="needs Rust 1.* or newer, but .*/cargo is 1" ;;
  esac
  fails_with "$text" cmake -S "$root" -B nocargo -DVESDE_CARGO="$work/cargo"
done
echo "without cargo, or with an old one, it says what is missing"

# The README's command, whose object is where the tests have theirs.
command=$(sed -n '/^    cargo rustc/ { N; s/\\\n//; s/target\/vesde.o$//p }' "$root/README.md")
[ "$(wc -w <<<"$command")" -gt 10 ]
# shellcheck disable=SC2086 # they are words
(cd "$root" && quietly ${command/ -- / --target-dir target/ffi -- }target/ffi/vesde.o)
cc "$here/user.c" -I"$root/include" "$root/target/ffi/vesde.o" -o by-readme
runs ./by-readme
echo "the README's object, linked and run"

# ---- other machines, with Rust's stock targets ----

quietly rustup target add aarch64-unknown-linux-gnu x86_64-pc-windows-gnu
toolchain() { # toolchain NAME COMPILER SYSTEM PROCESSOR: a toolchain file
  printf 'set(%s)\n' "CMAKE_SYSTEM_NAME $3" "CMAKE_SYSTEM_PROCESSOR $4" "CMAKE_C_COMPILER $2" >"$1.cmake"
}
# As cargo, but the object is that of ffi-tests/targets/archive.sh, which other stages need too.
cat >cargo-archive <<END
#!/usr/bin/env bash
set -euo pipefail
[ "\$1" = rustc ] || exec cargo "\$@"
[[ "\$*" =~ --target\ ([a-z0-9_-]+)\ .*obj=(.*) ]]
"$root/ffi-tests/targets/archive.sh" "\${BASH_REMATCH[1]}"
mkdir -p "\$(dirname "\${BASH_REMATCH[2]}")"
cp "$root/target/bare/\${BASH_REMATCH[1]}/vesde.o" "\${BASH_REMATCH[2]}"
END
chmod +x cargo-archive
# machine TRIPLE COMPILER SYSTEM PROCESSOR: by a toolchain file, static and shared, in cmake-TRIPLE
machine() {
  toolchain "$@"
  for shared in static shared; do
    quietly cmake -S "$root" -B "cmake-$1" -DCMAKE_TOOLCHAIN_FILE="$work/$1.cmake" -DCMAKE_INSTALL_LIBDIR=lib \
      -DVESDE_CARGO="$work/cargo-archive" -DBUILD_SHARED_LIBS=$([ $shared = static ] || echo ON)
    quietly cmake --build "cmake-$1"
    quietly cmake --install "cmake-$1" --prefix "$work/$shared-$1"
  done
}
flags=("$here/user.c" -I"$root/include" -Wall -Wextra -Werror)
triple=aarch64-unknown-linux-gnu system=aarch64-linux-gnu
emulated=(qemu-aarch64 -L /usr/$system)
machine $triple $system-gcc Linux aarch64
$system-gcc "${flags[@]}" static-$triple/lib/libvesde.a -o other
runs "${emulated[@]}" ./other
$system-gcc "${flags[@]}" -static -Wl,--whole-archive static-$triple/lib/libvesde.a -Wl,--no-whole-archive -o other
runs "${emulated[@]}" ./other
$system-gcc "${flags[@]}" -Lshared-$triple/lib -lvesde -o other
runs "${emulated[@]}" -E LD_LIBRARY_PATH=shared-$triple/lib ./other
[ "$(ar t static-$triple/lib/libvesde.a)" = vesde.o ]
echo "$triple: CMake's libraries, linked and run"

# The DLL exports the API, and a program that is linked with its import library asks for it.
windows=x86_64-w64-mingw32
machine x86_64-pc-windows-gnu $windows-gcc Windows x86_64
$windows-gcc "${flags[@]}" static-x86_64-pc-windows-gnu/lib/libvesde.a -o static.exe
$windows-gcc "${flags[@]}" shared-x86_64-pc-windows-gnu/lib/libvesde.dll.a -o shared.exe
$windows-objdump -p shared-x86_64-pc-windows-gnu/bin/vesde.dll | sed -n 's/^\t\[ *[0-9]*\] \([^ ]*\)$/\1/p' | only 'vesde_.*' vesde_step_pred
[ "$($windows-objdump -p shared.exe | grep -c 'DLL Name: vesde.dll')" = 1 ]
[ "$($windows-objdump -p static.exe | grep -c 'DLL Name: .*vesde')" = 0 ]
echo "MinGW: vesde.dll, its import library and a static library, linked"

# CMake is only asked for these, not built: each compiler's target must become Rust's name of it.
while read -r triple compiler system processor; do
  toolchain "$triple" "$compiler" "$system" "$processor"
  cmake -S "$root" -B "asked-$triple" -DCMAKE_TOOLCHAIN_FILE="$work/$triple.cmake" >asked
  grep -qx -- "-- vesde is built for $triple" asked || { cat asked; exit 1; }
  echo "$triple: CMake knows it"
done <<'LIST'
armv7-unknown-linux-gnueabihf arm-linux-gnueabihf-gcc Linux arm
riscv64gc-unknown-linux-gnu riscv64-linux-gnu-gcc Linux riscv64
s390x-unknown-linux-gnu s390x-linux-gnu-gcc Linux s390x
i686-unknown-linux-gnu i686-linux-gnu-gcc Linux i686
x86_64-unknown-linux-musl musl-gcc Linux x86_64
LIST
