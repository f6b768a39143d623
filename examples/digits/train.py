"""Train the digits example's class-conditional score network by denoising score matching.

The data are scikit-learn's bundled 8x8 digits, less a held-out fifth that the network never sees
and that check.py measures against. Writes weights.safetensors and scheduler_config.json.
"""

import argparse
import time
from pathlib import Path

import torch
from diffusers import ScoreSdeVeScheduler
from safetensors.torch import save_file

from check import split_digits
from network import CLASSES, SIGMA_MAX, SIGMA_MIN, ScoreNetwork


def train(args: argparse.Namespace) -> ScoreNetwork:
    """Train with AdamW under a cosine rate and return the exponential moving average of the
    weights."""
    train_x, test_x, train_y, test_y = split_digits()
    images, held_out = (torch.tensor(x, dtype=torch.float32) for x in (train_x, test_x))
    classes, held_out_classes = (torch.eye(CLASSES)[y] for y in (train_y, test_y))

    net = ScoreNetwork(images.mean().item(), images.std().item(), args.features, args.width, args.blocks)
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(args.ema)
    )
    optimiser = torch.optim.AdamW(net.parameters(), lr=args.rate, weight_decay=args.decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, args.steps)

    start = time.monotonic()
    for step in range(1, args.steps + 1):
        pick = torch.randint(len(images), (args.batch,))
        loss = net.loss(images[pick], classes[pick])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        average.update_parameters(net)
        if step % args.report == 0 or step == args.steps:
            with torch.no_grad():
                train_loss = sum(average.module.loss(images, classes) for _ in range(20)) / 20
                test_loss = sum(average.module.loss(held_out, held_out_classes) for _ in range(80)) / 80
            print(
                f"step {step:6d}  loss: train {train_loss:.4f}, held out {test_loss:.4f}"
                f"  {time.monotonic() - start:.0f} s",
                flush=True,
            )
    return average.module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    here = Path(__file__).parent
    parser.add_argument("--out", type=Path, default=here, help="folder to write to (default: this)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=40000, help="optimiser steps (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=256, help="images a step (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=1e-3, help="initial learning rate (default: %(default)s)")
    parser.add_argument("--decay", type=float, default=0.01, help="weight decay (default: %(default)s)")
    parser.add_argument("--ema", type=float, default=0.999, help="the average's decay (default: %(default)s)")
    parser.add_argument("--features", type=int, default=16, help="noise-level features (default: %(default)s)")
    parser.add_argument("--width", type=int, default=256, help="hidden width (default: %(default)s)")
    parser.add_argument("--blocks", type=int, default=2, help="residual layers (default: %(default)s)")
    parser.add_argument("--report", type=int, default=2000, help="steps a progress line (default: %(default)s)")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    net = train(args)

    tensors = {name: tensor.contiguous() for name, tensor in net.tensors().items()}
    save_file(tensors, args.out / "weights.safetensors", metadata={"format": "pt"})
    scheduler = ScoreSdeVeScheduler(
        num_train_timesteps=200,
        snr=0.1,
        sigma_min=SIGMA_MIN,
        sigma_max=SIGMA_MAX,
        sampling_eps=1e-5,
        correct_steps=1,
    )
    scheduler.save_config(args.out)


if __name__ == "__main__":
    main()
