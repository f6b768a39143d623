#!/usr/bin/env bash
# The C programs with AVX-512 on a machine that lacks it: under Bochs, which emulates an Ice Lake
# CPU and no operating system, so that kernel.c is there instead of one.
# Packages: bochs bochs-term bochsbios genisoimage isolinux syslinux-common musl-tools
set -euo pipefail
cd "$(dirname "$0")/../../.."
here=ffi-tests/targets/avx512
dir=target/avx512
syslinux=/usr/lib/syslinux/modules/bios

mkdir -p "$dir/disc"
musl-gcc -O2 -static -nostartfiles -fno-pie -no-pie -mgeneral-regs-only -fno-stack-protector -Wall -Wextra -Werror -Wl,--no-warn-rwx-segments -T "$here/kernel.ld" \
  "$here/boot.S" "$here/kernel.c" -o "$dir/kernel.elf"
objcopy -O elf32-i386 "$dir/kernel.elf" "$dir/disc/kernel"
cp ffi-tests/hashes.txt ffi-tests/vectors/{golden,cuda,paper}.txt "$dir/disc/"
cp /usr/lib/ISOLINUX/isolinux.bin "$syslinux"/{ldlinux,libcom32,mboot}.c32 "$dir/disc/"

# archive FOLDER: the library of the source there, in target/ffi of this folder or, elsewhere, in
# its own
archive() {
  (cd "$1" && cargo rustc --quiet --lib --profile c --features capi --crate-type staticlib --target-dir target/ffi -- \
    --cfg vesde_staticlib --emit obj=target/ffi/vesde.o)
}

# run SOURCE [FOLDER]: with that folder's library; what it prints is in $dir/output.txt
run() {
  musl-gcc -O2 -static -fno-pie -no-pie -ffp-contract=off -DEMULATED -Iinclude -Wl,-Ttext-segment=0x8000000 \
    "$1" "${2:-.}/target/ffi/vesde.o" -lm -o "$dir/disc/program"
  genisoimage -quiet -o "$dir/disc.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$dir/disc"
  rm -f "$dir/serial.txt"
  # Debian's Bochs begins in its debugger, which is told to continue. It returns 1 where the machine
  # is powered off.
  timeout 600 bochs -q -f "$dir/bochsrc" -rc "$dir/continue" </dev/null >"$dir/bochs.txt" 2>&1 || true
  tr -d '\r' <"$dir/serial.txt" >"$dir/output.txt"
}

show() { # NAME: a program's output; it ran on the level that all this is for
  sed "s/^/avx512 $1: /" "$dir/output.txt"
  grep -F 'simd level 2' "$dir/output.txt" >/dev/null
}

passed() { tail -n 1 "$dir/output.txt" | grep -x 'exit 0' >/dev/null; }

cat >"$dir/disc/isolinux.cfg" <<END
default vesde
label vesde
  kernel mboot.c32
  append kernel --- program --- hashes.txt --- golden.txt --- cuda.txt --- paper.txt
END
cat >"$dir/bochsrc" <<END
config_interface: textconfig
display_library: rfb, options="timeout=0"
cpu: model=corei7_icelake_u, ips=100000000, reset_on_triple_fault=0
memory: guest=1024, host=1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=$dir/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$dir/serial.txt
log: $dir/bochs.log
END
echo c >"$dir/continue"

archive .
for program in paper sampling; do
  run "ffi-tests/c/$program.c"
  show "$program"
  passed
done

library=.
run "$here/rounding.c"
if ! passed; then
  # Only the job that is made of this instruction may fail; without the instruction it must pass.
  echo "avx512: this emulator rounds vcvtudq2ps twice; so torch_cuda differs, and is judged in a library without that instruction"
  for program in golden hashes; do
    run "ffi-tests/c/$program.c"
    show "$program with it"
    grep -o 'failed: .*' "$dir/output.txt" | sed 's/.*(//' | tee "$dir/failed.txt"
    [ "$(sort -u "$dir/failed.txt")" = "torch_cuda)" ] || [ "$(sort -u "$dir/failed.txt")" = "torch_cuda/13)" ]
  done
  library=$dir/without
  rm -rf "$library"
  mkdir "$library"
  git ls-files -z | xargs -0 cp --parents -t "$library"
  [ "$(grep -c 'u32_to_f32(x: U16)' "$library/src/simd/x86.rs")" = 1 ]
  sed -i '/u32_to_f32(x: U16)/d' "$library/src/simd/x86.rs"
  archive "$library"
fi
for program in golden hashes; do
  run "ffi-tests/c/$program.c" "$library"
  show "$program"
  passed
done
