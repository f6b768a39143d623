"""Compares the pixels of two pictures of digits, as picture.h writes them. Fails where they differ by more than one gray level, which is
what the network's sums in another order may do.
"""

import sys
import zlib

import numpy as np


def pixels(path: str) -> np.ndarray:
    """The rows of a gray PNG in one chunk of data whose rows have no filter, filter bytes included."""
    with open(path, "rb") as file:
        png = file.read()
    at = png.index(b"IDAT")
    return np.frombuffer(zlib.decompress(png[at + 4 : at + 4 + int.from_bytes(png[at - 4 : at])]), np.uint8).astype(int)


difference = np.abs(pixels(sys.argv[1]) - pixels(sys.argv[2]))
print(f"{np.count_nonzero(difference)} of {difference.size} pixels differ, by at most {difference.max()}")
sys.exit(difference.max() > 1)
