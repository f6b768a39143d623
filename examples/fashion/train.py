"""Train the clothes' denoiser on Fashion-MNIST's 60,000 training pictures by denoising score
matching.

Writes weights.safetensors, an exponential moving average in float16, as often as it reports. The
data are Debian's package dataset-fashion-mnist.
"""

import argparse
import gzip
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from network import CLASSES, SD, SIGMA_MAX, SIGMA_MIN, SIZE, Denoiser

DATA = Path("/usr/share/datasets/fashion-mnist")


def pictures(part: str, folder: Path = DATA) -> tuple[Tensor, Tensor]:
    """Pictures (N, 1, 28, 28) in [0, 1] and classes (N) of a part: "train" or "t10k"."""

    def read(name: str, header: int) -> np.ndarray:
        with gzip.open(folder / f"{part}-{name}-ubyte.gz") as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)

    images = torch.tensor(read("images-idx3", 16).reshape(-1, 1, SIZE, SIZE), dtype=torch.float32)
    return images / 255, torch.tensor(read("labels-idx1", 8), dtype=torch.int64)


def draw_sigmas(count: int) -> Tensor:
    """Mostly where the network learns most (Karras et al. 2022), and a fifth from everywhere."""
    lognormal = (torch.randn(count) * 1.3 - 1.5).exp().clamp(SIGMA_MIN, SIGMA_MAX)
    uniform = SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** torch.rand(count)
    return torch.where(torch.rand(count) < 0.2, uniform, lognormal)


def loss_of(net: torch.nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    """The mean of |D − image|² with Karras et al.'s weight, which is 1 for an untrained network."""
    sigma = draw_sigmas(len(images))
    noisy = images + sigma[:, None, None, None] * torch.randn_like(images)
    error = (net(noisy, sigma, classes) - images).square().mean((1, 2, 3))
    return (error * (sigma**2 + SD**2) / (sigma * SD) ** 2).mean()


def train(args: argparse.Namespace) -> None:
    images, labels = pictures("train")
    held_out, held_out_labels = pictures("t10k")
    held_out, held_out_classes = held_out[:1000], F.one_hot(held_out_labels[:1000], CLASSES).float()

    net = Denoiser()
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(args.ema)
    )
    optimiser = torch.optim.AdamW(net.parameters(), args.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    start, total, cpu = time.monotonic(), 0.0, time.process_time()
    settings = ", ".join(f"{name} {value}" for name, value in vars(args).items() if name != "out")
    print(f"{sum(p.numel() for p in net.parameters())} parameters, {settings}", flush=True)
    for step in range(1, args.steps + 1):
        warm, done = min(1, step / 500), step / args.steps
        for group in optimiser.param_groups:
            group["lr"] = args.rate * warm * (0.5 + 0.5 * math.cos(math.pi * done))
        pick = torch.randint(len(images), (args.batch,))
        classes = F.one_hot(labels[pick], CLASSES).float() * (torch.rand(args.batch, 1) >= args.unconditional)
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(net, images[pick], classes)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        # An average that begins with the untrained weights would be long in forgetting them.
        average.update_parameters(net)
        if step == 500:
            average.module.load_state_dict(net.state_dict())
        total += loss.item()
        if step % args.report == 0 or step == args.steps:
            state = torch.get_rng_state()
            torch.manual_seed(0)
            with torch.no_grad():
                tested = [loss_of(average.module, x, c) for x, c in zip(held_out.split(500), held_out_classes.split(500))]
            torch.set_rng_state(state)
            print(
                f"step {step:6d}  loss {total / args.report:.4f}, held out {sum(tested) / len(tested):.4f}"
                f"  {time.monotonic() - start:.0f} s, of a core {time.process_time() - cpu:.0f} s",
                flush=True,
            )
            total = 0.0
            tensors = {name: tensor.half().contiguous() for name, tensor in average.module.state_dict().items()}
            save_file(tensors, args.out / "weights.safetensors", metadata={"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to (default: this)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=12000, help="optimiser steps (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=64, help="pictures a step (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=1e-3, help="the largest learning rate (default: %(default)s)")
    parser.add_argument("--ema", type=float, default=0.999, help="the average's decay (default: %(default)s)")
    parser.add_argument("--unconditional", type=float, default=0.1, help="part without a class (default: %(default)s)")
    parser.add_argument("--report", type=int, default=1000, help="steps a line of the log (default: %(default)s)")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(2)
    train(args)


if __name__ == "__main__":
    main()
