#!/usr/bin/env bash
# shared.sh TRIPLE...: the shared library of what archive.sh has made for each target, in
# target/bare/TRIPLE/shared: libvesde.so, libvesde.dylib, or vesde.dll with its import library. It
# exports the header's functions, and what it needs is read back from it: the C library's routines
# for memory. That library is not here, so a stand-in has these names.
# Needs lld-22, llvm-22, clang-22, and for MinGW its gcc.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly routines=(memcpy memmove memset memcmp bcmp)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
readonly version abi=${version%.*} # before 1.0 a minor version may break what is linked
functions=$(sed '/^static inline/d' include/vesde.h | grep -oE '\bvesde_[a-z0-9_]+\(' | tr -d '(' |
  sort -u)

elf() { # elf LIBC SONAME [FLAG...]: with LIBC to be loaded before it
  local name names=("${routines[@]}")
  case $triple in *-androideabi) names+=(__aeabi_mem{cpy,move,set,clr}{,4,8}) ;; esac
  for name in "${names[@]}"; do echo ".globl $name; .type $name, %function; $name:"; done |
    clang-22 --target="${triple/riscv64gc/riscv64}" -c -x assembler - -o "$to/libc.o"
  ld.lld-22 -shared -soname "$1" "$to/libc.o" -o "$to/libc.so"
  echo '{ global: vesde_*; local: *; };' >"$to/exports"
  # What 32 bits lack of arithmetic, cargo's archive has from Rust's core library. Nothing is
  # unwound here, and tables for it name Rust's std.
  llvm-objcopy-22 --wildcard --remove-section '.ARM.ex*' --remove-section '.eh_frame*' \
    "$folder/$triple/c/libvesde.a" "$to/arithmetic.a"
  ld.lld-22 -shared -soname "$2" --version-script "$to/exports" --gc-sections --strip-all -Bsymbolic \
    --defsym=__aeabi_unwind_cpp_pr0=0 --defsym=__aeabi_unwind_cpp_pr1=0 "${@:3}" \
    --hash-style=both --build-id=sha1 --no-undefined -z now -z noexecstack \
    "$folder/vesde.o" "$to/libc.so" "$to/arithmetic.a" -o "$to/libvesde.so"
  llvm-nm-22 --dynamic --defined-only --format=just-symbols "$to/libvesde.so" >"$to/exported"
  llvm-nm-22 --dynamic --undefined-only --format=just-symbols "$to/libvesde.so" >"$to/undefined"
  rm "$to"/libc.* "$to/arithmetic.a" "$to/exports"
}

mach_o() { # mach_o ARCHITECTURE PLATFORM OLDEST LIBRARY
  local system=$to/libSystem.tbd
  {
    printf '%s\n' '--- !tapi-tbd' 'tbd-version: 4' "targets: [ $1-$4 ]"
    printf '%s\n' 'install-name: /usr/lib/libSystem.B.dylib' 'exports:' "  - targets: [ $1-$4 ]"
    printf '    symbols: [ %s ]\n...\n' \
      "$(printf '_%s, ' "${routines[@]}" bzero __bzero memset_pattern16)dyld_stub_binder"
  } >"$system"
  sed 's/^/_/' <<<"$functions" >"$to/exports"
  ld64.lld-22 -dylib -arch "$1" -platform_version "$2" "$3" "$3" -dead_strip -x \
    -install_name "@rpath/libvesde.$abi.dylib" -current_version "$version" \
    -compatibility_version "$abi" -exported_symbols_list "$to/exports" \
    "$folder/vesde.o" "$system" -o "$to/libvesde.dylib"
  llvm-nm-22 --defined-only --extern-only --format=just-symbols "$to/libvesde.dylib" |
    sed 's/^_//' >"$to/exported"
  llvm-nm-22 --undefined-only --format=just-symbols "$to/libvesde.dylib" |
    sed 's/^_//' >"$to/undefined"
  rm "$system" "$to/exports"
}

dll() { # dll MACHINE RUNTIME IMPORT-LIBRARY OBJECT: with the runtime's DLL, and what is in OBJECT
  printf '%s\n' "LIBRARY $2" EXPORTS "${routines[@]}" >"$to/runtime.def"
  printf '%s\n' 'LIBRARY vesde.dll' EXPORTS "$functions" >"$to/vesde.def"
  llvm-dlltool-22 -m "$1" -d "$to/runtime.def" -l "$to/runtime.lib"
  lld-link-22 /nologo /dll /noentry /nodefaultlib /Brepro /opt:ref "/def:$to/vesde.def" \
    "$folder/vesde.o" "$4" "$to/runtime.lib" "/out:$to/vesde.dll" "/implib:$to/$3"
  llvm-readobj-22 --coff-exports "$to/vesde.dll" | sed -n 's/^ *Name: \(.*\)/\1/p' >"$to/exported"
  llvm-readobj-22 --coff-imports "$to/vesde.dll" | sed -n 's/^ *Symbol: \([^ ]*\).*/\1/p' \
    >"$to/undefined"
  rm -f "$to"/*.def "$to"/runtime.*
}

msvc() { # msvc MACHINE: a frame of more than a page is touched in order, by windows/runtime.c
  clang-22 --target="$triple" -O1 -ffreestanding -c ffi-tests/targets/windows/runtime.c \
    -o "$to/runtime.obj"
  dll "$1" ucrtbase.dll vesde.dll.lib "$to/runtime.obj"
}

for triple; do
  folder=target/bare/$triple to=target/bare/$triple/shared
  rm -rf "$to"
  mkdir -p "$to"
  case $triple in
    *-linux-android*) # pages of 16 KB from 15 on
      elf libc.so libvesde.so -z max-page-size=16384 -z common-page-size=16384
      ;;
    *-linux-musl*) elf libc.so "libvesde.so.$abi" ;;
    *-linux-gnu*) elf libc.so.6 "libvesde.so.$abi" ;;
    *-freebsd) elf libc.so.7 "libvesde.so.$abi" ;;
    x86_64-apple-darwin) mach_o x86_64 macos 10.12 macos ;;
    aarch64-apple-darwin) mach_o arm64 macos 11.0 macos ;;
    aarch64-apple-ios) mach_o arm64 ios 12.0 ios ;;
    aarch64-apple-ios-sim) mach_o arm64 ios-simulator 14.0 ios-simulator ;;
    x86_64-apple-ios) mach_o x86_64 ios-simulator 12.0 ios-simulator ;;
    x86_64-pc-windows-gnu)
      dll i386:x86-64 msvcrt.dll libvesde.dll.a "$(x86_64-w64-mingw32-gcc -print-libgcc-file-name)"
      ;;
    x86_64-pc-windows-msvc) msvc i386:x86-64 ;;
    aarch64-pc-windows-msvc) msvc arm64 ;;
    *) echo "shared.sh: how a library for $triple is linked is not known" >&2 && exit 1 ;;
  esac
  diff <(sort -u "$to/exported") - <<<"$functions"
  if grep -vxE 'mem(cpy|move|set|cmp|set_pattern16)|bcmp|(__)?bzero|dyld_stub_binder|__aeabi_mem[a-z]+[48]?|' "$to/undefined"; then
    echo "shared.sh: $triple needs these" >&2
    exit 1
  fi
  grep -qxE '(__aeabi_)?mem(cpy|set|move)[48]?' "$to/undefined" # or it is no list
  rm "$to/exported" "$to/undefined"
  echo "shared $triple:" "$to"/*
done
