# The common part of several run.sh, which source it in the repository's root. $to is the folder for
# their files.
mkdir -p "$to"
readonly vesde=target/ffi/libvesde.a # as .ci/run and the C tests have it, built once for all

stage() { # stage NAME COMMAND...: shows what the command prints only if it fails
  local name=$1 start=$SECONDS
  shift
  if ! "$@" >"$to/log" 2>&1; then
    cat "$to/log"
    echo "$name: FAILED"
    exit 1
  fi
  echo "$name: $((SECONDS - start)) s"
}

measure() { # measure NAME COMMAND...: shows the line that the command prints
  local name=$1 line
  shift
  if ! line=$("$@" 2>"$to/log"); then
    cat "$to/log"
    echo "$name: FAILED: $line"
    exit 1
  fi
  echo "$name: $line"
}

: "${venv:=$to/venv}" # or where a script shares Python's packages with another

venv() { # venv REQUIREMENTS: Python with these, first in PATH
  python3 -m venv "$venv" && pip install --quiet --no-compile -r "$1"
}
export PATH="$PWD/$venv/bin:$PATH"

archive() {
  cargo rustc --lib --profile c --features capi --crate-type staticlib --target-dir target/ffi -- \
    --cfg vesde_staticlib --emit obj=target/ffi/vesde.o &&
    ar rcs "$vesde" target/ffi/vesde.o
}

# reference ENDING...: the C program, and what it samples as engines do, as files that end so
reference() {
  local ending
  cc -O2 -ffp-contract=off -Iinclude examples/digits/digits.c "$vesde" -lm -o "$to/digits" || return
  for ending in "$@"; do
    "$to/digits" --sampler pc "$to/reference.$ending" || return
  done
}
