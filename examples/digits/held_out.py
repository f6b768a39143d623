"""Write held_out.pgm: a hundred real digits that the network never saw, ten a class, for --inpaint
and its like.

They are the first of each class in the held-out part of check.py's split, one below the other, in
their 17 gray levels: the last 6400 bytes of the file are the pixels. The source is what
scikit-learn bundles, the test set of E. Alpaydin and C. Kaynak's Optical Recognition of Handwritten
Digits (UCI Machine Learning Repository, 1998, CC BY 4.0)."""

from pathlib import Path

import numpy as np

from check import CLASSES, PER_CLASS, SIDE, split_digits

_, images, _, labels = split_digits()
digits = np.concatenate([images[labels == label][:PER_CLASS] for label in range(CLASSES)])
header = f"""P5
# Of E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (CC BY 4.0)
{SIDE} {SIDE * len(digits)}
16
"""
levels = np.rint(digits * 16).astype(np.uint8)
(Path(__file__).parent / "held_out.pgm").write_bytes(header.encode() + levels.tobytes())
