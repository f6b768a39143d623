"""Bits/dim of test pictures by the library's ODE, and the same in score_sde's conventions.

Song et al. 2021 solve the probability-flow ODE with scipy's RK45, in double, with the divergence
by Hutchinson's estimate: what the reference here does, written from the paper and from the
conventions of score_sde's likelihood and sampling code. With the same dequantisation, probes and
initial noise the library comes to the same bits/dim and the same samples. Exits 1 if it does not.
"""

import argparse
import math
import sys
import time

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

import vesde
from network import SIGMA_MAX, SIGMA_MIN, SIZE
from study import PIXELS, Clothes, configuration
from train import pictures

EPS = 1e-5  # the time at which the SDE ends, for score_sde
BATCH = 64
PART = 16  # pictures that a gradient is taken of at once: they stay in the cache
SEED = 0
# In bits/dim at each tolerance of rtol and atol.
ALLOWED = {1e-5: 2e-2, 1e-3: 1e-3}
ALLOWED_SAMPLES = 1e-3  # rms, of samples in 0..1


class Likelihoods(Clothes):
    """A batch whose score and product with a probe, of the score's Jacobian, go together."""

    def __init__(self, labels: Tensor, probe: np.ndarray):
        super().__init__(labels)
        self.probe = torch.from_numpy(probe)

    def score_and_product(self, x: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
        scores, products = [], []
        batch = (torch.from_numpy(x), self.probe, self.classes)
        for part, probe, classes in zip(*(whole.split(PART) for whole in batch)):
            part = part.clone().requires_grad_()
            sigmas = torch.full((len(part),), sigma)
            denoised = self.denoised_part(part.view(-1, 1, SIZE, SIZE), sigmas, classes)
            score = (denoised.view(-1, PIXELS) - part) / sigma**2
            products.append(torch.autograd.grad((score * probe).sum(), part)[0])
            scores.append(score.detach())
        return torch.cat(scores).numpy(), torch.cat(products).numpy()


def bits_of(network: Likelihoods, data: np.ndarray, tolerance: float) -> tuple[np.ndarray, int]:
    """By the library: bits/dim of each picture, and the calls."""
    config = configuration()
    codes, divergence, calls = vesde.solve_ode(
        network.score_and_product, data, config, direction="encoding",
        probe=network.probe.numpy(), rtol=tolerance, atol=tolerance,
    )  # fmt: skip
    log_density = vesde.log_likelihood(config, codes, divergence)
    return vesde.bits_per_dim(log_density, PIXELS), calls


def rates(t: float) -> tuple[float, float]:
    """Sigma and the square of the diffusion at a time, as a float has them."""
    sigma = np.float32(SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** float(np.float32(t)))
    diffusion = sigma * np.float32(math.sqrt(2 * math.log(SIGMA_MAX / SIGMA_MIN)))
    return float(sigma), float(diffusion * diffusion)


def reference_bits(
    network: Likelihoods, data: np.ndarray, tolerance: float
) -> tuple[np.ndarray, int]:
    """By scipy, in score_sde's conventions: the state is all pictures and their integrals."""
    probe = network.probe.numpy().astype(np.float64)

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        sigma, square = rates(t)
        x = state[: data.size].reshape(data.shape).astype(np.float32)
        score, product = network.score_and_product(x, sigma)
        drift = np.float32(-0.5 * square) * score
        return np.concatenate([drift.ravel(), -0.5 * square * (probe * product).sum(1)])

    state = np.concatenate([data.ravel(), np.zeros(len(data))]).astype(np.float64)
    solved = solve_ivp(slope, (EPS, 1.0), state, "RK45", rtol=tolerance, atol=tolerance)
    end = solved.y[:, -1]
    codes = end[: data.size].reshape(data.shape)
    prior = -0.5 * PIXELS * math.log(2 * math.pi * SIGMA_MAX**2)
    prior = prior - (codes**2).sum(1) / (2 * SIGMA_MAX**2)
    # Data in 0..1 of 256 levels: 8 bits more.
    return -(prior + end[data.size :]) / (PIXELS * math.log(2)) + 8, solved.nfev


def reference_samples(
    network: Clothes, codes: np.ndarray, tolerance: float
) -> tuple[np.ndarray, int]:
    """By scipy: what the ODE makes of codes, before the noise of the end is taken away."""

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        sigma, square = rates(t)
        x = state.reshape(codes.shape).astype(np.float32)
        return (np.float32(-0.5 * square) * network.score(x, sigma)).ravel()

    state = codes.astype(np.float64).ravel()
    solved = solve_ivp(slope, (1.0, EPS), state, "RK45", rtol=tolerance, atol=tolerance)
    return solved.y[:, -1].reshape(codes.shape), solved.nfev


def check_samples(count: int) -> bool:
    """Samples of both from the same noise."""
    network = Clothes(torch.arange(count) % 10)
    noise = torch.randn(count, PIXELS, generator=torch.Generator().manual_seed(SEED))
    codes = (noise * SIGMA_MAX).numpy()
    ours, _, calls = vesde.solve_ode(network.score, codes, configuration())
    theirs, nfev = reference_samples(network, codes, 1e-5)
    apart = float(np.sqrt(((ours - theirs) ** 2).mean()))
    print(f"ODE sampler, tolerance 1e-5: rms {apart:.1e} apart, {calls} and {nfev} calls")
    return apart < ALLOWED_SAMPLES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=256, help="pictures (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=BATCH, help="at once (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    images, labels = pictures("t10k")
    generator = torch.Generator().manual_seed(SEED)
    # As many as are asked for, from everywhere in the test set.
    chosen = torch.randperm(len(images), generator=generator)[: args.count]
    images, labels = images[chosen].view(-1, PIXELS), labels[chosen]
    uniform = torch.rand(images.shape, generator=generator)
    data = ((images * 255 + uniform) / 256).numpy()
    probes = torch.randint(0, 2, images.shape, generator=generator).mul(2).sub(1).float().numpy()

    holds = check_samples(10)
    everything = []
    for first in range(0, len(data), args.batch):
        batch = slice(first, first + args.batch)
        network = Likelihoods(labels[batch], probes[batch])
        start = time.monotonic()
        bits, calls = bits_of(network, data[batch], 1e-5)
        everything.append(bits)
        seconds = time.monotonic() - start
        print(f"{len(bits)} pictures: {bits.mean():.4f} bits/dim, {calls} calls, {seconds:.0f} s",
              flush=True)  # fmt: skip
        if first > 0:
            continue
        for tolerance, allowed in ALLOWED.items():
            ours = bits
            if tolerance != 1e-5:
                ours, calls = bits_of(network, data[batch], tolerance)
            theirs, nfev = reference_bits(network, data[batch], tolerance)
            most = np.abs(ours - theirs).max()
            print(
                f"  tolerance {tolerance:.0e}: {ours.mean():.5f}, score_sde's way"
                f" {theirs.mean():.5f} bits/dim, at most {most:.1e} apart in a picture"
                f" ({allowed:.0e} allowed), {calls} and {nfev} calls", flush=True,
            )  # fmt: skip
            holds = holds and bool(most < allowed)
    everything = np.concatenate(everything)
    error = everything.std(ddof=1) / math.sqrt(len(everything))
    print(f"{len(everything)} test pictures: {everything.mean():.3f} ±{error:.3f} bits/dim")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
