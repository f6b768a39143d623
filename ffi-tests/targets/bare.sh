#!/usr/bin/env bash
# The C programs on machines without an operating system, emulated, with libraries that have no std:
# all must compute the committed bits, and hashes.c names the jobs that do not. Files and exit
# statuses go through semihosting; in node through WASI.
#
#   bare.sh                      builds the libraries, then runs the list below
#   bare.sh MACHINE PROGRAM      runs one, also one that takes too long for the list: m4 golden
set -euo pipefail
cd "$(dirname "$0")/../.."
# GNU's dialect, because newlib's strict one lacks declarations that C11 has.
readonly flags=(-std=gnu11 -Wall -Wextra -Werror -O2 -ffp-contract=off -Iinclude -DEMULATED)
readonly qemu=(-nographic -monitor none -serial none -semihosting-config enable=on,target=native)

# cortex_m TRIPLE BOARD CODE DATA FLAGS...: newlib, its stdio on semihosting. The boards have 4 MB
# for each.
cortex_m() {
  local archive=target/bare/$1.a board=$2 code=$3 data=$4
  shift 4
  arm-none-eabi-gcc "${flags[@]}" -mthumb "$@" --specs=rdimon.specs -T examples/firmware/cortex-m.ld \
    -Wl,--defsym=FLASH_ORIGIN="$code",--defsym=FLASH_LENGTH=4M,--defsym=RAM_ORIGIN="$data",--defsym=RAM_LENGTH=4M \
    -Wl,--gc-sections,--no-warn-execstack examples/firmware/startup.c "$source" "$archive" -lm -o "$to" &&
    timeout 600 qemu-system-arm -M "$board" "${qemu[@]}" -kernel "$to"
}

# riscv32 EXTENSIONS ABI CPU: picolibc.
riscv32() {
  riscv64-unknown-elf-gcc "${flags[@]}" -march="rv32$1" -mabi="$2" -mcmodel=medany \
    --specs=picolibc.specs --oslib=semihost --crt0=hosted \
    -Wl,--defsym=__flash=0x80000000,--defsym=__flash_size=4M,--defsym=__ram=0x80400000,--defsym=__ram_size=4M \
    "$source" "target/bare/riscv32$1-unknown-none-elf.a" -lm -o "$to" &&
    timeout 600 qemu-system-riscv32 -M virt -cpu "$3" -bios none "${qemu[@]}" -kernel "$to"
}

# Rust's archive has the compiler's arithmetic, and WASI's C library is for one triple of several.
wasm() {
  clang-22 "${flags[@]}" --target=wasm32-wasi -Wno-deprecated -nodefaultlibs -fuse-ld=/usr/bin/wasm-ld-22 \
    "$source" target/bare/wasm32-unknown-unknown.a -lc -o "$to" &&
    # as many multiplications of simd128, and not none
    llvm-objdump-22 --disassemble "$to" | grep -c f32x4.mul &&
    timeout 600 node --no-warnings ffi-tests/targets/wasi.mjs "$to"
}

# machine NAME: links $source as $to and runs it. Called under `if`, where `set -e` has no effect:
# commands are chained.
machine() {
  case $1 in
    # an M3, which runs its code
    m0) cortex_m thumbv6m-none-eabi mps2-an385 0 0x20000000 -mcpu=cortex-m0 ;;
    m4) cortex_m thumbv7em-none-eabihf mps2-an386 0 0x20000000 -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16 ;;
    m7) cortex_m thumbv7em-none-eabihf mps2-an500 0 0x20000000 -mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16 ;;
    m33)
      cortex_m thumbv7em-none-eabihf mps2-an505 0x10000000 0x38000000 -mcpu=cortex-m33 -mfloat-abi=hard -mfpu=fpv5-sp-d16
      ;;
    rv32imac) riscv32 imac ilp32 rv32,f=false,d=false ;;
    rv32imafc) riscv32 imafc ilp32f rv32,d=false ;;
    wasm) wasm ;;
    *) echo "no machine is called $1" && return 1 ;;
  esac
}

if [ $# = 2 ]; then
  readonly source=ffi-tests/c/$2.c to=target/bare/$1-$2
  if ! machine "$1" >"$to.log" 2>&1; then
    cat "$to.log"
    echo "bare $1 $2: FAILED"
    exit 1
  fi
  echo "bare $1 $2: $(tail -n 1 "$to.log") in $SECONDS s"
  exit
fi

ffi-tests/targets/archive.sh thumbv6m-none-eabi thumbv7em-none-eabihf riscv32imac-unknown-none-elf \
  riscv32imafc-unknown-none-elf wasm32-unknown-unknown
xargs -P 2 -n 2 ffi-tests/targets/bare.sh <<'LIST'
m0 hashes
m4 abi
m4 sampling
m4 hashes
m7 hashes
m33 hashes
rv32imac hashes
rv32imafc sampling
rv32imafc hashes
wasm abi
wasm golden
wasm paper
wasm sampling
wasm hashes
LIST
