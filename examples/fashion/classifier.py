"""Train the classifier that judges the clothes: on Fashion-MNIST's 60,000 training pictures alone.

It never sees a sample of the network, nor a test picture before it prints what it reads of them.
Its layer before the last gives the features of study.py's Frechet distance. Writes
classifier.safetensors, in float16.
"""

import argparse
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from network import CLASSES, MEAN, SD, SIZE
from train import pictures

HERE = Path(__file__).resolve().parent
FEATURES = 64
SHIFT = 2  # pixels, of the training pictures


class Classifier(nn.Module):
    """Three convolutions, each before a halving, and two dense layers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 24, 3, padding=1)
        self.conv2 = nn.Conv2d(24, 48, 3, padding=1)
        self.conv3 = nn.Conv2d(48, 96, 3, padding=1)
        self.dense = nn.Linear(96 * 9, FEATURES)
        self.head = nn.Linear(FEATURES, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """64 for each of the pictures (N, 1, 28, 28) in 0..1, none below 0."""
        x = (images - MEAN) / SD
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        return F.relu(self.dense(F.dropout(x.flatten(1), 0.3, self.training)))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))

    @torch.no_grad()
    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features, and the classes that are read."""
        features = torch.cat([self.features(part) for part in images.split(500)])
        return features, self.head(features).argmax(1)

    @classmethod
    def load(cls, path: Path = HERE / "classifier.safetensors") -> "Classifier":
        model = cls()
        model.load_state_dict(load_file(path))
        return model.eval()


def shifted(images: Tensor) -> Tensor:
    """The pictures, moved together by up to SHIFT pixels, and half of them mirrored."""
    dy, dx = torch.randint(2 * SHIFT + 1, (2,)).tolist()
    padded = F.pad(images, [SHIFT] * 4)[:, :, dy : dy + SIZE, dx : dx + SIZE]
    return torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, padded.flip(3), padded)


def train(epochs: int, batch: int, rate: float) -> Classifier:
    images, labels = pictures("train")
    model = Classifier()
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    steps = epochs * (len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps)
    start = time.monotonic()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for pick in torch.randperm(len(images))[: steps // epochs * batch].split(batch):
            loss = F.cross_entropy(model(shifted(images[pick])), labels[pick])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        seconds = time.monotonic() - start
        print(f"epoch {epoch:2d}  loss {total * epochs / steps:.4f}  {seconds:.0f} s", flush=True)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=14, help="(default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="(default: %(default)s)")
    parser.add_argument("--rate", type=float, default=4e-3, help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: this)")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    model = train(args.epochs, args.batch, args.rate).half()
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, args.out / "classifier.safetensors", metadata={"format": "pt"})

    images, labels = pictures("t10k")
    _, read = Classifier.load(args.out / "classifier.safetensors").judge(images)
    print(f"reads {(read == labels).float().mean():.2%} of the {len(labels)} test pictures")


if __name__ == "__main__":
    main()
