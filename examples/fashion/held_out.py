"""Write held_out.png: the first ten pictures of each class of Fashion-MNIST's test set, a class a
row.

The network never saw them. Class 0 to 9: t-shirt, trousers, pullover, dress, coat, sandal, shirt,
sneaker, bag, ankle boot.
"""

from pathlib import Path

import torch
from PIL import Image

from network import CLASSES, SIZE
from train import pictures

images, labels = pictures("t10k")
# class, column, 1, y, x
rows = torch.stack([images[labels == label][:10] for label in range(CLASSES)])
grid = rows.squeeze(2).permute(0, 2, 1, 3).reshape(CLASSES * SIZE, 10 * SIZE)
Image.fromarray((grid * 255).round().byte().numpy()).save(Path(__file__).parent / "held_out.png", optimize=True)
