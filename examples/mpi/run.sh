#!/usr/bin/env bash
# Samples the digits on 1, 2, 3 and 4 ranks and compares the bits with those of the C program, and
# by the ODE with those of one process; then counts what ranks send one another where a sample has
# 64 and where it has 4096 pixels. Needs Rust, a C compiler and Open MPI; all that it makes is under
# target.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly to=target/mpi
. examples/stages.sh
# As in a container: by root, without ssh, where a process may not read another's memory.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_plm=isolated OMPI_MCA_btl_vader_single_copy_mechanism=none

program() {
  mpicc -std=c99 -Wall -Wextra -pedantic -Werror -O2 -ffp-contract=off -Iinclude -Iexamples/digits examples/mpi/digits.c \
    "$vesde" -lm -o "$to/digits-mpi"
}

sample() { # sample RANKS OUTPUT [SEED [STEPS [SHEET]]]
  mpirun --oversubscribe -n "$1" "$to/digits-mpi" "$to/$2" "${@:3}"
}

# Two steps on two ranks, and Open MPI's own count of what rank 0 sent point to point: the norms and
# nothing else, since in the end the digits go the other way. They are those of score and noise, as
# double, of 50 samples.
sent() { # sent SHEET
  local counted
  OMPI_MCA_pml_monitoring_enable=1 OMPI_MCA_pml_monitoring_enable_output=3 OMPI_MCA_pml_monitoring_filename=$to/sheet-$1 \
    sample 2 "sheet-$1.f32" 42 2 "$1" >&2 &&
    counted=$(awk '$1 == "E" { print $4, $5, $6, $7, $8 }' "$to/sheet-$1.0.prof") &&
    echo "$counted" &&
    [ "$counted" = "$((2 * 50 * 2 * 8)) bytes 2 msgs sent" ]
}

# By the ODE on two ranks, of which the first sends one double a block of its 4 or 50 in each step,
# and three before the first step. What ranks send in the end goes to rank 0.
sums_sent() { # sums_sent SHEET BLOCKS
  local counted steps
  OMPI_MCA_pml_monitoring_enable=1 OMPI_MCA_pml_monitoring_enable_output=3 OMPI_MCA_pml_monitoring_filename=$to/ode-$1 \
    mpirun --oversubscribe -n 2 "$to/digits-mpi" --ode 1e-1 "$to/ode-$1.f32" 42 "$1" >"$to/ode-$1.txt" &&
    steps=$(awk '{ print $3 + $7 }' "$to/ode-$1.txt") &&
    counted=$(awk '$1 == "E" { print $4, $5, $6, $7, $8 }' "$to/ode-$1.0.prof") &&
    echo "$steps steps, $counted" &&
    [ "$counted" = "$((8 * $2 * (steps + 3))) bytes $((steps + 2)) msgs sent" ]
}

stage "libvesde.a" archive
stage "the C program's digits" reference png f32
stage "digits-mpi" program
for ranks in 1 2 3 4; do
  stage "ranks: $ranks" sample "$ranks" "ranks-$ranks.f32"
  stage "the bits are the C program's" cmp "$to/ranks-$ranks.f32" "$to/reference.f32"
done
stage "a picture by 4 ranks" sample 4 ranks-4.png
stage "the bytes are the C program's" cmp "$to/ranks-4.png" "$to/reference.png"
for sheet in 1 64; do
  measure "mpi, $((64 * sheet)) pixels a sample, rank 0 in 2 steps on 2 ranks" sent "$sheet"
done
stage "4096 pixels on 1 rank" sample 1 one-rank.f32 42 2 64
stage "the bits are those of 2 ranks" cmp "$to/one-rank.f32" "$to/sheet-64.f32"
stage "the ODE by vesde_ode_next" mpirun -n 1 "$to/digits-mpi" --ode-alone 1e-3 "$to/ode.f32" 42 5
for ranks in 1 2 3 4; do
  stage "the ODE, ranks: $ranks" mpirun --oversubscribe -n "$ranks" "$to/digits-mpi" --ode 1e-3 "$to/ranks-$ranks.f32" 42 5
  stage "the bits are the same" cmp "$to/ranks-$ranks.f32" "$to/ode.f32"
done
measure "mpi, ODE, 320 pixels a sample, rank 0 of 2 with 4 blocks" sums_sent 5 4
measure "mpi, ODE, 1024 pixels a sample, rank 0 of 2 with 12 blocks" sums_sent 16 12
