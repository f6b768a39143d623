"""Judge the grid of digits that the Rust example writes, against scikit-learn's real digits.

Asks whether a support vector machine that never saw the network reads the requested class in each
sample, and whether the samples lie as far from the training images as held-out real digits do.
Exits 1 if fewer than 95 of 100 agree or if the samples look like copies.
"""

import argparse
import sys

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

CLASSES, PER_CLASS, SIDE = 10, 10, 8
LABELS = np.repeat(np.arange(CLASSES), PER_CLASS)


def split_digits():
    """The digits scaled to 0..1: (training images, held-out images, training labels, held-out
    labels)."""
    images, labels = load_digits(return_X_y=True)
    return train_test_split(images / 16.0, labels, test_size=0.2, stratify=labels, random_state=0)


def read_grid(path: str, scale: int, gap: int) -> np.ndarray:
    """The digits of a grid PNG as (100, 64) values in 0..1, a class a row, left to right."""
    image = Image.open(path)
    if image.mode != "L":
        raise SystemExit(f"{path}: mode {image.mode}, not 8-bit gray")
    tile = SIDE * scale
    height, width = (count * (tile + gap) + gap for count in (CLASSES, PER_CLASS))
    if image.size != (width, height):
        raise SystemExit(f"{path}: {image.size[0]}x{image.size[1]} pixels, not {width}x{height}")
    tiles = np.asarray(image)[gap:, gap:].reshape(CLASSES, tile + gap, PER_CLASS, tile + gap)
    digits = tiles.swapaxes(1, 2)[:, :, :tile:scale, :tile:scale]
    upscaled = digits.repeat(scale, axis=2).repeat(scale, axis=3)
    if not np.array_equal(upscaled, tiles.swapaxes(1, 2)[:, :, :tile, :tile]):
        raise SystemExit(f"{path}: a tile is not an 8x8 digit upscaled by {scale}")
    return digits.reshape(-1, SIDE * SIDE) / 255.0


def spread(images: np.ndarray, labels: np.ndarray) -> float:
    """The mean distance between two different images of a class, averaged over the classes."""
    means = []
    for label in range(CLASSES):
        members = images[labels == label]
        means.append(pairwise_distances(members).sum() / (len(members) * (len(members) - 1)))
    return float(np.mean(means))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("grid", nargs="?", help="PNG of 10x10 digits, a class a row")
    source.add_argument("--samples", help="instead, a .npy of shape (100, 64) in 0..1")
    parser.add_argument("--scale", type=int, default=8, help="PNG pixels a digit pixel (default: %(default)s)")
    parser.add_argument("--gap", type=int, default=8, help="PNG pixels between digits (default: %(default)s)")
    args = parser.parse_args()
    samples = np.load(args.samples) if args.samples else read_grid(args.grid, args.scale, args.gap)

    train, test, train_labels, test_labels = split_digits()
    classifier = SVC(C=10.0).fit(train, train_labels)
    read = classifier.predict(samples)
    agreement = int((read == LABELS).sum())
    print(f"class agreement: {agreement} of 100 (on held-out real digits {classifier.score(test, test_labels):.1%})")
    for index in np.flatnonzero(read != LABELS):
        print(f"  row {index // PER_CLASS}, column {index % PER_CLASS} reads as {read[index]}")

    print("distance to the nearest training image:")
    near, near_real = (pairwise_distances(images, train).min(axis=1) for images in (samples, test))
    for name, distances in (("samples", near), ("held-out digits", near_real)):
        low, median = np.percentile(distances, [5, 50])
        print(f"  {name:15}  median {median:.3f}, 5th percentile {low:.3f}, minimum {distances.min():.3f}")
    first = np.percentile(near_real, 1)
    below = int((near < first).sum())
    print(f"  samples nearer than the held-out minimum: {int((near < near_real.min()).sum())}")
    print(f"  samples nearer than the held-out 1st percentile ({first:.3f}): {below}")
    print(f"mean distance within a class: samples {spread(samples, LABELS):.3f}, real {spread(test, test_labels):.3f}")

    # Of 100 real digits one is expected below the 1st percentile, and more than 5 about once in
    # 2000 draws.
    copies = below > 5 or np.median(near) < 0.75 * np.median(near_real)
    print(f"samples {'look like copies' if copies else 'are not copies'} of training images")
    sys.exit(1 if agreement < 95 or copies else 0)


if __name__ == "__main__":
    main()
