"""Compares two pictures as picture.h writes them, pixel by pixel, or the floats of two .f32 files,
as gray levels from 0 to 255. Fails where they differ by more than --most levels, 1 unless it is
said: that much the network's sums in another order may do. With --shrink the first picture is
written as the second, as small as zlib makes it: so a picture becomes one to be compared with."""

import argparse
import sys
import zlib

import numpy as np


def rows_of(png: bytes) -> np.ndarray:
    """The rows of a gray PNG with one chunk of data, each behind its filter, which is none."""
    data = png.index(b"IDAT") + 4
    size = int.from_bytes(png[data - 8 : data - 4], "big")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    rows = np.frombuffer(zlib.decompress(png[data : data + size]), np.uint8)
    return rows.reshape(height, 1 + width)


def levels(path: str) -> np.ndarray:
    with open(path, "rb") as file:
        content = file.read()
    if path.endswith(".f32"):
        return np.frombuffer(content, "<f4").astype(float) * 255
    return rows_of(content)[:, 1:].astype(float)


def shrink(path: str, output: str) -> None:
    with open(path, "rb") as file:
        png = file.read()
    start, end = png.index(b"IDAT") - 4, png.index(b"IEND") - 4
    chunk = b"IDAT" + zlib.compress(rows_of(png).tobytes(), 9)
    small = (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    with open(output, "wb") as file:
        file.write(png[:start] + small + png[end:])


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("first")
parser.add_argument("second")
parser.add_argument("--most", type=float, default=1)
parser.add_argument("--shrink", action="store_true")
args = parser.parse_args()
if args.shrink:
    shrink(args.first, args.second)
    sys.exit()
first, second = levels(args.first), levels(args.second)
if first.shape != second.shape:
    sys.exit(f"{args.first} has {first.shape} pixels, {args.second} {second.shape}")
difference = np.abs(first - second)
largest, rms = difference.max(), np.sqrt(np.mean(difference**2))
count = np.count_nonzero(difference)
print(f"{count} of {difference.size} pixels differ, by at most {largest:.3g} of 255, rms {rms:.2g}")
sys.exit(bool(not largest <= args.most))
