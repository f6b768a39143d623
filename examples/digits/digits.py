"""A hundred handwritten digits, sampled from noise with 20 calls of a network: the network in
NumPy, the sampler vesde's.

    pip install ./python && python examples/digits/digits.py
"""

import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np

import vesde

HERE = Path(__file__).resolve().parent
CLASSES, SIDE, SCALE, GAP, BACKGROUND = 10, 8, 8, 8, 64


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Tensors of float32 by name."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, of in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = (start + at for at in of["data_offsets"])
            tensors[name] = np.frombuffer(data[begin:end], "<f4").reshape(of["shape"])
    return tensors


class Network:
    """network.py's, for a batch of digits with a class each."""

    def __init__(self, labels: np.ndarray):
        self.tensors = read_safetensors(HERE / "weights.safetensors")
        self.layers = sum(name.endswith(".weight") for name in self.tensors)
        self.classes = np.eye(CLASSES, dtype=np.float32)[labels]

    def dense(self, layer: int, x: np.ndarray) -> np.ndarray:
        return x @ self.tensors[f"dense{layer}.weight"] + self.tensors[f"dense{layer}.bias"]

    def score(self, x: np.ndarray, sigma: float) -> np.ndarray:
        variance, sd, tau = sigma * sigma, self.tensors["sd"], self.tensors["tau"]
        y, total = x - self.tensors["mean"], variance + sd * sd
        level = np.broadcast_to(variance / (variance + tau * tau), (len(x), len(tau)))
        inputs = np.concatenate([y / np.sqrt(total), level, self.classes], axis=1)
        hidden = np.maximum(self.dense(0, inputs), 0)
        for layer in range(1, self.layers - 1):
            hidden = hidden + np.maximum(self.dense(layer, hidden), 0)
        return self.dense(self.layers - 1, hidden) * (sd / (sigma * np.sqrt(total))) - y / total


def picture(digits: np.ndarray) -> np.ndarray:
    """Ten digits a row, as the other programs lay them out."""
    pixels = (digits.clip(0, 1) * 255 + 0.5).astype(np.uint8).reshape(-1, 10, SIDE, SIDE)
    tiles = pixels.repeat(SCALE, axis=2).repeat(SCALE, axis=3)
    edges = ((0, 0), (0, 0), (GAP, 0), (GAP, 0))
    rows = np.pad(tiles, edges, constant_values=BACKGROUND).swapaxes(1, 2)
    whole = rows.reshape(rows.shape[0] * rows.shape[1], -1)
    return np.pad(whole, ((0, GAP), (0, GAP)), constant_values=BACKGROUND)


def png(pixels: np.ndarray) -> bytes:
    """Of 8-bit gray pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width = pixels.shape
    rows = np.pad(pixels, ((0, 0), (1, 0))).tobytes()  # each begins with its filter: none
    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (b"IHDR", size), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "digits.png")
    labels = np.arange(CLASSES).repeat(10)
    config = vesde.Config.from_json((HERE / "scheduler_config.json").read_text())
    sigmas = vesde.karras_sigmas(20, config.sigma_min, config.sigma_max)
    digits = vesde.sample(
        Network(labels).score, (len(labels), SIDE * SIDE), sigmas,
        method="dpmpp2m", eta=1.0, prediction="score", seed=42,
    )  # fmt: skip
    path.write_bytes(png(picture(digits)))
    print(f"{path}: a hundred digits with {len(sigmas) - 1} calls of the network")


if __name__ == "__main__":
    main()
