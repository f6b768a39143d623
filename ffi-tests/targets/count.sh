#!/usr/bin/env bash
# Instructions an element, by machine and kernel, beside plain C++ of the same work (cpp_*). A
# plugin of QEMU counts them. A kernel is run once and, in another run, three times: the difference
# is two repetitions and nothing else.
#
#   count.sh [MACHINE...]                 counts (on all, if none is named), prints, and compares
#                                         with count.txt
#   count.sh --bless [MACHINE...]         counts, prints, and writes count.txt
#   count.sh --mnemonics KERNEL MACHINE   one kernel's instructions an element, by mnemonic
#   count.sh --symbols KERNEL MACHINE     the same by function
#
# Compared means: no count is missing, none has risen by more than 3 %, and counter noise takes no
# more than std's generator: the table's where <random> is missing, as on Cortex-M without
# libstdc++-arm-none-eabi-newlib. On sse2 valgrind must count as the plugin does.
#
# The counts depend on the source; on the compiler that builds it, and its LLVM; where
# a kernel calls memset or the like, on the C library; and those of cpp_* on GCC and its C++
# library. They do not depend on the machine that this runs on: QEMU's CPUs decide which
# instructions there are. count.txt begins with the versions that it was made with. What a
# condition skips is counted (ARM's IT), and x86's string instructions once a turn.
#
# Needs what .ci/run installs.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/../.."
readonly table=ffi-tests/targets/count.txt source=ffi-tests/targets/count to=target/count
readonly all=(aarch64 armv7 riscv64 sse2 avx2 m4f m7 m33 rv32imafc)
mkdir -p "$to"

# machine NAME: which triple's archive, how the program is compiled and linked, what runs it, and on
# how many elements. aarch64 has phones' archive and glibc, as examples/phone does.
machine() {
  name=$1 elements=196608 level=0 # of vesde_simd_level
  case $1 in
    aarch64) on_linux aarch64-linux-android aarch64-linux-gnu qemu-aarch64 ;;
    armv7) on_linux armv7-unknown-linux-gnueabihf arm-linux-gnueabihf qemu-arm ;;
    riscv64) on_linux riscv64gc-unknown-linux-gnu riscv64-linux-gnu qemu-riscv64 ;;
    sse2) on_linux x86_64-unknown-linux-gnu x86_64-linux-gnu "qemu-x86_64 -cpu Nehalem" ;;
    avx2)
      on_linux x86_64-unknown-linux-gnu x86_64-linux-gnu "qemu-x86_64 -cpu max" -mavx2 -mfma
      level=1
      ;;
    m4f) cortex_m mps2-an386 0 0x20000000 -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 ;;
    m7) cortex_m mps2-an500 0 0x20000000 -mcpu=cortex-m7 -mfpu=fpv5-d16 ;;
    m33)
      cortex_m mps2-an505 0x10000000 0x38000000 -mcpu=cortex-m33 -mfpu=fpv5-sp-d16
      ;;
    rv32imafc) riscv32 imafc ilp32f rv32,d=false ;;
    *) echo "no machine is called $1" >&2 && return 1 ;;
  esac
}

on_linux() { # on_linux TRIPLE COMPILER EMULATOR FLAGS...
  triple=$1 compiler=$2 emulator=$3 flags=("${@:4}") link=(-static) semihosting=
}

board() { # board EMULATOR...: the program's arguments go through semihosting
  elements=16384
  emulator="$* -nographic -monitor none -serial none -semihosting-config"
  semihosting=enable=on,target=native
}

cortex_m() { # cortex_m BOARD CODE DATA FLAGS...: as in bare.sh
  board qemu-system-arm -M "$1"
  semihosting+=,arg=kernels # argv[0], which picolibc makes itself
  triple=thumbv7em-none-eabihf compiler=arm-none-eabi flags=(-mthumb -mfloat-abi=hard "${@:4}")
  link=(--specs=rdimon.specs -T examples/firmware/cortex-m.ld examples/firmware/startup.c
    -Wl,--gc-sections,--no-warn-execstack,--defsym=FLASH_ORIGIN="$2",--defsym=FLASH_LENGTH=4M
    -Wl,--defsym=RAM_ORIGIN="$3",--defsym=RAM_LENGTH=4M)
}

riscv32() { # riscv32 EXTENSIONS ABI CPU: as in bare.sh; this crt0 has arguments
  board qemu-system-riscv32 -M virt -cpu "$3" -bios none
  triple=riscv32$1-unknown-none-elf compiler=riscv64-unknown-elf
  flags=(-march="rv32$1" -mabi="$2" -mcmodel=medany --specs=picolibc.specs)
  link=(--oslib=semihost --crt0=semihost
    -Wl,--defsym=__flash=0x80000000,--defsym=__flash_size=4M
    -Wl,--defsym=__ram=0x80400000,--defsym=__ram_size=4M)
}

build() { # the program, as $to/$name
  local common=(-Wall -Wextra -Werror -ffp-contract=off "${flags[@]}")
  "$compiler-g++" -std=c++17 -O3 "${common[@]}" -c "$source/plain.cpp" -o "$to/$name.o"
  "$compiler-gcc" -std=gnu11 -O2 "${common[@]}" -DELEMENTS="$elements" -Iinclude \
    "$source/kernels.c" "$to/$name.o" "target/bare/$triple.a" "${link[@]}" -lm -o "$to/$name"
}

# execute PLUGIN WORD...: the program with these words, and the plugin with these arguments.
execute() {
  local plugin=$to/plugin.so,$1
  shift
  if [ -n "$semihosting" ]; then
    timeout 300 $emulator "$semihosting$(printf ',arg=%s' "$@")" -plugin "$plugin" \
      -kernel "$to/$name"
  else
    timeout 300 $emulator -plugin "$plugin" "$to/$name" "$@"
  fi
}

# difference ONCE THRICE: for lines that begin alike, the difference of the numbers at their ends,
# for one element.
difference() {
  awk -v of=$((2 * elements)) '{ number = $NF; sub(/ [0-9]+$/, "") }
    FNR == NR { once[$0] = number; next }
    number > once[$0] { printf "%.4g %s\n", (number - once[$0]) / of, $0; some = 1 }
    END { exit !some }' "$1" "$2"
}

count() { # count KERNEL [NAMES]: instructions an element; with names=on, by mnemonic and symbol
  local times
  for times in 1 3; do
    execute "out=$to/$name.$times${2+,$2}" "$1" $times $level
  done
  difference "$to/$name.1" "$to/$name.3"
}

callgrind() { # callgrind KERNEL: the same of this machine's own program
  local times
  for times in 1 3; do
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$to/$name" "$1" $times $level \
      2>"$to/$name.log"
    sed -n 's/.*Collected : /all /p' "$to/$name.log" >"$to/$name.$times"
  done
  difference "$to/$name.1" "$to/$name.3"
}

count_kernels() { # as lines of the table
  local kernel missing counted
  while read -r kernel missing <&3; do
    [ -n "$missing" ] || counted=$(count "$kernel")
    printf '%-9s  %-20s %8s\n' "$name" "$kernel" "${missing:-${counted%% *}}"
  done 3<"$to/$name.list"
}

versions() {
  local of
  for of in rustc {x86_64,aarch64,riscv64}-linux-gnu-gcc arm-linux-gnueabihf-gcc \
    {arm-none-eabi,riscv64-unknown-elf}-gcc qemu-{x86_64,system-arm}; do
    echo "# $("$of" --version | head -n 1)"
  done
}

compare() { # with the table: all of its lines for $machines
  awk -v machines="${machines[*]}" 'FNR == NR { if (!/^#/) committed[$1 " " $2] = $3; next }
    function says(what) { print "count " name ": " what }
    { name = $1 " " $2; counted[name]; now[name] = $3 }
    !(name in committed) { says($3 ", and the table has no such line"); bad = 1; next }
    { was = committed[name] }
    $3 == "-" || was == "-" { next } # <random> is missing here, or was where it was made
    $3 > was * 1.03 { says($3 ", which was " was ": risen"); bad = 1 }
    $3 < was * 0.97 { says($3 ", which was " was ": fallen, and can be blessed") }
    END {
      split(machines, some)
      for (i in some) of[some[i]]
      for (name in committed) {
        split(name, part)
        if (part[1] in of && !(name in counted)) { says("not counted"); bad = 1 }
      }
      # All of these machines have an FPU.
      for (machine in of) {
        name = machine " counter"
        std = now[machine " cpp_noise"]
        if (std == "-") std = committed[machine " cpp_noise"]
        if (std != "-" && now[name] > std) { says(now[name] ", and std takes " std); bad = 1 }
      }
      exit bad
    }' "$table" "$to/counted"
}

if [ "${1-}" = --machine ]; then # one of those below
  machine "$2"
  build
  execute "out=$to/$name.1" list >"$to/$name.list" 2>&1 # which is where picolibc prints
  count_kernels >"$to/$name.txt"
  [ -s "$to/$name.txt" ]
  echo "count $name: $(wc -l <"$to/$name.txt") kernels in $SECONDS s"
  exit
fi

bless='' by='' kernel=''
case ${1-} in
  --bless) bless=yes && shift ;;
  --mnemonics | --symbols) by=$1 kernel=$2 && shift 2 ;;
esac
[ $# -gt 0 ] || set -- "${all[@]}"
readonly machines=("$@")

gcc -std=gnu11 -Wall -Wextra -Werror -O2 -shared -fPIC "$source/plugin.c" -o "$to/plugin.so"
triples=()
for name in "${machines[@]}"; do
  machine "$name"
  triples+=("$triple")
done
mapfile -t triples < <(printf '%s\n' "${triples[@]}" | sort -u)
ffi-tests/targets/archive.sh "${triples[@]}"

if [ -n "$by" ]; then
  build
  count "$kernel" names=on >"$to/$name.names"
  awk -v field="$([ "$by" = --mnemonics ] && echo 2 || echo 3)" '{ sum[$field] += $1; all += $1 }
    END {
      printf "%9.3f in all\n", all
      for (name in sum) if (sum[name] > 0.0005) printf "%9.3f %s\n", sum[name], name
    }' "$to/$name.names" | sort -rn | llvm-cxxfilt-22
  exit
fi

printf '%s\n' "${machines[@]}" | xargs -P 2 -n 1 ffi-tests/targets/count.sh --machine
for name in "${machines[@]}"; do
  cat "$to/$name.txt"
done | tee "$to/counted"

if [[ " ${machines[*]} " = *" sse2 "* ]]; then
  machine sse2
  for kernel in counter sum_squares; do
    plugin=$(awk -v kernel=$kernel '$2 == kernel { print $3 }' "$to/sse2.txt")
    valgrind=$(callgrind $kernel)
    echo "sse2 $kernel: $plugin by the plugin, ${valgrind% *} by valgrind"
    awk -v a="$plugin" -v b="${valgrind% *}" 'BEGIN { exit !(a > 0.97 * b && a < 1.03 * b) }'
  done
fi

if [ -n "$bless" ]; then
  {
    echo "# Instructions an element, by machine and kernel: ffi-tests/targets/count.sh --bless"
    echo "# Kernels are calls in count/kernels.c; cpp_* is plain C++, - where <random> is missing"
    echo "# Counted with:"
    versions
    for name in "${all[@]}"; do # what was counted, or what there is of other machines
      grep "^$name " "$to/counted" || grep "^$name " "$table"
    done
  } >"$to/table"
  mv "$to/table" "$table"
elif ! compare; then
  echo "count: FAILED. The versions in the table, and those here:"
  diff <(grep '^# ' "$table" | tail -n +4) <(versions) && echo "the same"
  exit 1
fi
echo "count: $(wc -l <"$to/counted") lines"
