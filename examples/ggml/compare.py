"""Compares the pixels of two pictures of digits, as picture.h writes them. Fails where they differ by more
than one gray level: that much the network's sums in another order may do.
"""

import sys
import zlib

import numpy as np


def pixels(path: str) -> np.ndarray:
    """The pixels of a gray PNG with one chunk of data, whose rows begin with a filter that is none."""
    with open(path, "rb") as file:
        png = file.read()
    data = png.index(b"IDAT") + 4
    size = int.from_bytes(png[data - 8 : data - 4], "big")
    rows = np.frombuffer(zlib.decompress(png[data : data + size]), np.uint8)
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    return rows.reshape(height, 1 + width)[:, 1:].astype(int)


difference = np.abs(pixels(sys.argv[1]) - pixels(sys.argv[2]))
most = int(difference.max())
print(f"{np.count_nonzero(difference)} of {difference.size} pixels differ, by at most {most} of 255")
sys.exit(most > 1)
