#!/usr/bin/env bash
# From a checkout to the digits of an emulated Cortex-M: builds vesde and the firmware, runs it, and
# compares its picture with that of examples/digits/digits.c on this machine, byte for byte.
# Everything it makes is under target/.
#
#   run.sh [SEED [EVALUATIONS]]
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly seed=${1:-7} evaluations=${2:-20} triple=thumbv7em-none-eabihf to=target/firmware
mkdir -p "$to"

cargo rustc --quiet --lib --profile c --features capi --crate-type staticlib --target-dir target/ffi -- \
  --cfg vesde_staticlib --emit obj=target/ffi/vesde.o
cc -O2 -ffp-contract=off -Iinclude examples/digits/digits.c target/ffi/vesde.o -lm -o "$to/digits"
"$to/digits" "$to/native.png" "$seed" "$evaluations" 2>"$to/log"

ffi-tests/targets/archive.sh "$triple"
arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -std=c11 -Wall -Wextra -Werror \
  -O2 -ffp-contract=off -fno-math-errno -ffunction-sections -fdata-sections -Iinclude -Iexamples/digits \
  -nostartfiles --specs=nano.specs -T examples/firmware/cortex-m.ld \
  -Wl,--gc-sections,--no-warn-execstack,-Map="$to/map" \
  examples/firmware/startup.c examples/firmware/main.c examples/firmware/files.S "target/bare/$triple.a" \
  -o "$to/firmware.elf"

rm -f "$to/firmware.png"
timeout 600 qemu-system-arm -M netduinoplus2 -nographic -monitor none -serial none \
  -semihosting-config enable=on,target=native -kernel "$to/firmware.elf" \
  -append "$to/firmware.png $seed $evaluations" 2>&1 | tee "$to/printed"

cmp "$to/native.png" "$to/firmware.png"
echo "firmware: the picture of examples/digits/digits.c, byte for byte"

symbols=$(arm-none-eabi-nm "$to/firmware.elf")
grep -x '[0-9a-f]* T vesde_sampler_next' <<<"$symbols" # or the list is not what it seems to be
if grep -E ' _?(malloc|sbrk)(_r)?$' <<<"$symbols"; then
  echo "firmware: a heap"
  exit 1
fi

section() { # section NAME: its bytes
  arm-none-eabi-size -A "$to/firmware.elf" | awk -v name="$1" '$1 == name { print $2 }'
}

# What of the archive is in flash: the map's lines that end with an address there, a size and a
# file.
vesde=0
for size in $(awk -v file="$triple[.]a[(]" '/^Linker script and memory map/ { on = 1 }
    on && NF >= 3 && $(NF - 2) ~ /^0x0*8/ && $NF ~ file { print $(NF - 1) }' "$to/map"); do
  vesde=$((vesde + size))
done
data=$(section .data) files=$(stat -c %s examples/digits/weights.safetensors)
echo "firmware: $(($(section .text) + $(section .ARM.exidx) + data)) of 1048576 bytes of flash, weights $files, vesde $vesde"
echo "firmware: $((data + $(section .bss) + $(section .stack))) of 131072 bytes of RAM, $(tail -n 1 "$to/printed")"
