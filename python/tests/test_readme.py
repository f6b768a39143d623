"""The README's commands and snippets."""

import pathlib
import re
import shutil
import subprocess
import sys
import zlib

import numpy as np
import pytest

from vesde import abi

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "python" / "README.md").read_text()


def test_snippets():
    snippets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    for snippet in snippets:
        if "diffusers" not in snippet:  # test_diffusers.py runs that one
            exec(snippet, names)
    assert names["z"].shape == (4096,)
    assert abs(names["x"].mean() - 0.5) < 0.01
    assert len(snippets) == 3


def pixels(path):
    """Of a PNG of rows without filters."""
    data = path.read_bytes()
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    at, parts = 8, b""
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            parts += data[at + 8 : at + 8 + size]
        at += 12 + size
    rows = np.frombuffer(zlib.decompress(parts), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return rows[:, 1:].astype(int)


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_digits_are_those_of_c(tmp_path):
    digits, library = ROOT / "examples" / "digits", abi.library()._name
    python, c, program = (tmp_path / name for name in ("python.png", "c.png", "digits"))
    subprocess.run([sys.executable, digits / "digits.py", python], check=True)
    build = ["cc", "-O2", "-ffp-contract=off", f"-I{ROOT / 'include'}", digits / "digits.c"]
    subprocess.run([*build, library, "-lm", "-o", program], check=True)
    subprocess.run([program, c], check=True, cwd=ROOT)
    # A BLAS may add in another order.
    assert np.abs(pixels(python) - pixels(c)).max() <= 1
    assert len(np.unique(pixels(python))) > 200
