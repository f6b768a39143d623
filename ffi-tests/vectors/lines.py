"""The lines of the vector files: CASE NAME TYPE COUNT WORD..., the words being the bits in hex, and
the versions of what they are made with."""

import importlib.metadata
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
TYPES = {"float32": "f32", "float64": "f64", "uint32": "u32", "uint64": "u64"}


def pinned():
    """The versions of requirements.txt, by package; exits where others are installed."""
    versions = dict(line.split("==") for line in (HERE / "requirements.txt").read_text().split())
    for package, wanted in versions.items():
        found = importlib.metadata.version(package).split("+")[0]
        if found != wanted:
            sys.exit(f"{package} {found} is installed, but the vectors need {package}=={wanted}")
    return versions


def array_line(case, name, array):
    """One array: 8 digits a word for f32 and u32, 16 digits for f64 and u64."""
    array = np.ascontiguousarray(array).ravel()
    bits = array.view(f"<u{array.itemsize}")
    words = " ".join(f"{int(word):0{2 * array.itemsize}x}" for word in bits)
    return f"{case} {name} {TYPES[array.dtype.name]} {array.size} {words}\n"


def f32(*values):
    return np.array(values, np.float32)


def f64(*values):
    return np.array(values, np.float64)


def u32(*values):
    return np.array(values, np.uint32)


def u64(*values):
    return np.array(values, np.uint64)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value
