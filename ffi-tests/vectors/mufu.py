"""Solves for the coefficients of MUFU.SIN from its results in a quarter turn, which mufu.cu writes.
Prints the table that stands in src/kernels/cuda_math.rs and the hash of all results; exits 1 where
a part of the quarter turn does not have exactly one solution."""

import sys

import numpy as np

PARTS, LENGTH = 64, 1 << 17
UNIT = 2.0**37  # of the results, as integers
STEP = 1 << 12  # of c0


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def square(x):
    """x² without the products of two bits that are less than 2¹⁹."""
    total = np.zeros_like(x)
    for i in range(17):
        for j in range(i + 1):
            power = 2 * i if i == j else i + j + 1
            if power >= 19:
                total += (x >> i & x >> j & 1) << power - 19
    return total


def solutions(part, low, high, x, squares):
    """All (c0, c1, c2) near the sine's own for which c0 + c1·x − c2·x² lies from `low` to `high`
    everywhere."""
    angle, step = np.pi / 2 * part / PARTS, np.pi / 2 / (PARTS * LENGTH)
    near1 = int(np.cos(angle) * step * UNIT)
    near2 = int(np.sin(angle + np.pi / 4 / PARTS) * step**2 / 2 * UNIT * 2**19)
    for c2 in range(max(near2 - 4, 0), near2 + 5):
        for c1 in range(near1 - 8, near1 + 9):
            rest = c1 * x - c2 * squares
            least, most = (low - rest).max(), (high - rest).min()
            yield from ((int(c0), c1, c2) for c0 in range(-(-least // STEP), most // STEP + 1))


def main():
    bits = np.fromfile(sys.argv[1], "<u4")
    low = (bits.view("<f4").astype(np.float64) * UNIT).astype(np.int64).reshape(PARTS, LENGTH)
    # A float stands for all that are cut to its 24 bits.
    ulp = 1 << np.maximum((bits >> 23).astype(np.int64) - 127 - 23 + 37, 0).reshape(PARTS, LENGTH)
    x = np.arange(LENGTH)
    squares = square(x)
    table = [list(solutions(part, low[part], low[part] + ulp[part] - 1, x, squares)) for part in range(PARTS)]
    for at in range(0, PARTS, 4):
        print("   ", " ".join(", ".join(map(str, found)) + "," for found in table[at : at + 4]))
    print(f"{fnv1a(bits.tobytes()):016x} is the hash of all results")
    sys.exit(any(len(found) != 1 for found in table))


main()
