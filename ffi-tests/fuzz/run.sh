#!/usr/bin/env bash
# Builds the targets with AddressSanitizer, checks that they call every function of vesde.h, and
# fuzzes each from its corpus for some seconds: `run.sh [SECONDS [TARGET...]]`, by default 20 and
# all. PLAIN=1 goes without AddressSanitizer, several times as fast.
#   run.sh coverage   the lines of src/ that the corpus and what runs before have found reach
#   run.sh minimise   the corpus anew, from itself and what runs before have found
# Needs rustup's Rust and c++; the coverage also LLVM's llvm-profdata and llvm-cov (LLVM_SUFFIX=-22
# for Debian's names).
set -euo pipefail
cd "$(dirname "$0")"
host=$(rustc -vV | sed -n 's/^host: //p')
folder=${CARGO_TARGET_DIR:-$PWD/target}
targets=(config_json c_abi sampler ode)
export CARGO_TERM_COLOR=never
# -Zsanitizer is not stable.
export RUSTC_BOOTSTRAP=1

# As the target has them, in its order.
functions=($(sed -n '/^functions! {/,/^}/p' fuzz_targets/c_abi.rs | sed '1d;$d'))

pack() { # pack NAME FILE: the line of a target's corpus for an input; c_abi's may lack a name
  local name sum
  if [ "$1" != c_abi ]; then
    base64 -w 0 "$2" && echo
  elif [ "$(wc -l <"$2")" -gt 0 ]; then
    name=$(head -n 1 "$2" | tr -d '\0')
    if [[ " ${functions[*]} " != *" $name "* ]]; then
      # If no function has the name, the sum of its bytes says which is called.
      sum=$(head -n 1 "$2" | od -An -v -tu1 | awk '{ for (i = 1; i <= NF; i++) sum += $i } END { print sum - 10 }')
      name=${functions[sum % ${#functions[@]}]}
    fi
    echo "$name $(tail -n +2 "$2" | base64 -w 0)"
  fi
}

build() { # build KIND FLAGS: the programs, in a folder of their own
  RUSTFLAGS="--cfg fuzzing $2" cargo build --quiet --release --locked --target "$host" --target-dir "$folder/$1"
  programs=$folder/$1/$host/release
}
instrumented="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table"

# A corpus is a text: an input a line, in base64; c_abi's have the function's name in front.
# Unpacked it is a folder of files.
for name in "${targets[@]}"; do
  rm -rf "$folder/corpus/$name"
  mkdir -p "$folder/corpus/$name" "$folder/found/$name"
  i=0
  while read -r function line; do
    i=$((i + 1))
    {
      if [ "$name" = c_abi ]; then echo "$function"; else line=$function; fi
      base64 -d <<<"$line"
    } >"$folder/corpus/$name/$i"
  done <"corpus/$name.txt"
done

if [ "${1:-}" = coverage ]; then
  build coverage "-Cinstrument-coverage"
  for name in "${targets[@]}"; do
    export LLVM_PROFILE_FILE=$folder/coverage/$name.profraw
    "$programs/$name" -runs=0 "$folder/corpus/$name" "$folder/found/$name" 2>"$folder/$name.log"
  done
  "llvm-profdata${LLVM_SUFFIX:-}" merge -sparse "$folder"/coverage/*.profraw -o "$folder/coverage/all.profdata"
  "llvm-cov${LLVM_SUFFIX:-}" report -instr-profile "$folder/coverage/all.profdata" --show-region-summary=false \
    "$programs/c_abi" -object "$programs/sampler" -object "$programs/ode" -object "$programs/config_json" -sources ../../src
  exit
fi

if [ "${1:-}" = minimise ]; then
  build plain "$instrumented"
  for name in "${targets[@]}"; do
    rm -rf "$folder/minimal"
    mkdir -p "$folder/minimal"
    "$programs/$name" -set_cover_merge=1 -use_counters=0 -max_len=288 "$folder/minimal" "$folder/corpus/$name" "$folder/found/$name" \
      2>"$folder/$name.log"
    {
      for file in "$folder"/minimal/*; do pack "$name" "$file"; done
      # An empty input is what is usual, and most functions succeed with that.
      [ "$name" != c_abi ] || printf '%s \n' "${functions[@]}"
    } | LC_ALL=C sort -u >"corpus/$name.txt"
    wc -lc "corpus/$name.txt"
  done
  exit
fi

seconds=${1:-20}
[ $# -lt 2 ] || targets=("${@:2}")
if [ "${PLAIN:-}" = 1 ]; then build plain "$instrumented"; else build asan "$instrumented -Zsanitizer=address"; fi

fuzz() { # fuzz NAME ARGUMENTS: runs a target; what it prints is in $log, and is shown if it fails
  log=$folder/$1.log
  mkdir -p artifacts
  if ! "$programs/$1" -max_len=288 -timeout=10 -entropic=0 -artifact_prefix="artifacts/$1-" "${@:2}" 2>"$log"; then
    awk '/panicked|ERROR/ { found = 1 } found && count++ < 60' "$log" || true
    tail -n 5 "$log"
    for input in "artifacts/$1"-*; do
      echo "FAILED $1; a line for its corpus: $(pack "$1" "$input") (all of it: $(base64 -w 0 "$input"))"
    done
    exit 1
  fi
}

# In the corpus every function of the header succeeds at least once.
VESDE_TALLY=1 fuzz c_abi -runs=0 "$folder/corpus/c_abi"
declared=$(grep -v 'static inline' ../../include/vesde.h | grep -oE '\bvesde_[a-z0-9_]+\(' | tr -d '(' | sort -u)
called=$(awk '$1 == "tally" && $3 > 0 { print $2 }' "$log" | sort -u)
if [ "$declared" != "$called" ]; then
  diff <(echo "$declared") <(echo "$called") || true
  echo "FAILED: functions that vesde.h declares (<), and that c_abi calls with success (>)"
  exit 1
fi
echo "c_abi calls all $(wc -l <<<"$called") functions of vesde.h"

for name in "${targets[@]}"; do
  dict=()
  [ "$name" != config_json ] || dict=(-dict=json.dict)
  fuzz "$name" -max_total_time="$seconds" -print_final_stats=1 "${dict[@]}" "$folder/found/$name" "$folder/corpus/$name"
  runs=$(awk '/number_of_executed_units/ { print $2 }' "$log")
  edges=$(sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$log")
  [ "$runs" -gt 0 ] && [ "$edges" -gt 0 ]
  echo "$name: $runs executions, $edges edges, nothing found"
done
