"""The digits example's class-conditional score network in torch: what train.py trains, and
network.rs and digits.c evaluate.

It uses only + - * / sqrt max, so that any language can evaluate it to the same bits.
"""

import math
from pathlib import Path

import torch
from safetensors.torch import load_file

CLASSES, PIXELS = 10, 64
SIGMA_MIN, SIGMA_MAX = 0.01, 10.0


class ScoreNetwork(torch.nn.Module):
    """A residual ReLU perceptron in EDM preconditioning; dense weights are stored [in][out]."""

    def __init__(self, mean: float, sd: float, features: int, width: int, blocks: int):
        super().__init__()
        sizes = [(PIXELS + features + CLASSES, width), *[(width, width)] * blocks, (width, PIXELS)]
        self.weights = torch.nn.ParameterList(
            torch.randn(size) * math.sqrt(1.0 / size[0]) for size in sizes
        )
        self.biases = torch.nn.ParameterList(torch.zeros(outputs) for _, outputs in sizes)
        torch.nn.init.zeros_(self.weights[-1])
        self.register_buffer("mean", torch.tensor([mean]))
        self.register_buffer("sd", torch.tensor([sd]))
        self.register_buffer(
            "tau", torch.logspace(math.log10(SIGMA_MIN / 2), math.log10(SIGMA_MAX * 2), features)
        )

    def residual(self, y: torch.Tensor, sigma: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        """F, the part of the denoiser that is learned, for a centred noisy image y."""
        variance = sigma * sigma
        scale = (variance + self.sd * self.sd).sqrt()
        noise = variance / (variance + self.tau * self.tau)
        hidden = torch.cat([y / scale, noise, one_hot], dim=1) @ self.weights[0] + self.biases[0]
        hidden = hidden.relu()
        for weight, bias in zip(self.weights[1:-1], self.biases[1:-1]):
            hidden = hidden + (hidden @ weight + bias).relu()
        return hidden @ self.weights[-1] + self.biases[-1]

    def loss(self, x: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        """Denoising score matching, weighted so that F's target has unit variance.

        Three noise levels in four are log-normal about 1, where the shape of a digit is decided,
        and the rest log-uniform, to cover the whole range.
        """
        log_min, log_max = math.log(SIGMA_MIN / 1.25), math.log(SIGMA_MAX * 1.25)
        uniform = log_min + (log_max - log_min) * torch.rand(len(x), 1)
        normal = torch.randn(len(x), 1).clamp(log_min, log_max)
        sigma = torch.where(torch.rand(len(x), 1) < 0.25, uniform, normal).exp()
        clean = x - self.mean
        y = clean + sigma * torch.randn_like(x)
        total = sigma * sigma + self.sd * self.sd
        target = (clean - y * (self.sd * self.sd / total)) * total.sqrt() / (sigma * self.sd)
        return (self.residual(y, sigma, one_hot) - target).square().mean()

    @torch.no_grad()
    def score(self, x: torch.Tensor, sigma: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        """The score of noisy images x at noise scales sigma: (denoised - x) / sigma^2."""
        y = x - self.mean
        total = sigma * sigma + self.sd * self.sd
        return self.residual(y, sigma, one_hot) * (self.sd / (sigma * total.sqrt())) - y / total

    @classmethod
    def load(cls, path: Path) -> "ScoreNetwork":
        """The network that weights.safetensors holds."""
        tensors = load_file(path)
        layers = sum(name.endswith(".weight") for name in tensors)
        width = tensors["dense0.bias"].numel()
        net = cls(0.0, 1.0, tensors["tau"].numel(), width, layers - 2)
        for name, tensor in net.tensors().items():
            tensor.copy_(tensors[name])
        return net

    def tensors(self) -> dict[str, torch.Tensor]:
        """The network as weights.safetensors holds it."""
        named = {"mean": self.mean, "sd": self.sd, "tau": self.tau}
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            named[f"dense{index}.weight"] = weight.detach()
            named[f"dense{index}.bias"] = bias.detach()
        return named
