"""The clothes' denoiser D(x, sigma, class): a U-Net, preconditioned as in Karras et al. 2022."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 10
SIZE = 28
# In [0, 1], no two pictures are farther apart than the square root of their pixels (Song & Ermon
# 2020, technique 1). A gray level is 0.0039.
SIGMA_MIN, SIGMA_MAX = 0.002, 28.0
# Of all training pixels.
MEAN, SD = 0.286, 0.353

GROUPS = 8
HEADS = 4


class GroupNorm(nn.Module):
    """nn.GroupNorm, with weights by names of our own."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, GROUPS, self.weight, self.bias)


class Block(nn.Module):
    """Two convolutions beside a short cut; the embedding scales and shifts between them."""

    def __init__(self, inputs: int, outputs: int, embedding: int):
        super().__init__()
        self.norm1 = GroupNorm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulate = nn.Linear(embedding, 2 * outputs)
        self.norm2 = GroupNorm(outputs)
        self.conv2 = zeros(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulate(embedding)[:, :, None, None].chunk(2, 1)
        h = self.conv1(F.silu(self.norm1(x)))
        return self.skip(x) + self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))


class Attention(nn.Module):
    """Self-attention between the places of a small picture."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = GroupNorm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeros(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        b, c, height, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, HEADS, c // HEADS, height * width)
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(h.transpose(-1, -2).reshape(b, c, height, width))


def zeros(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer, which says nothing until it is trained."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Denoiser(nn.Module):
    """D of pictures (N, 1, 28, 28), their sigmas (N) and classes (N, 10): one-hot, or zeros for
    any."""

    def __init__(self, width: int = 64, embedding: int = 64, features: int = 32):
        super().__init__()
        wide = 2 * width
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, 4, features // 2)))
        self.embed_sigma = nn.Linear(features, embedding)
        self.embed_class = nn.Linear(CLASSES, embedding, bias=False)
        self.embed = nn.Linear(embedding, embedding)
        # 28×28 are seen as 14×14 patches.
        self.first = nn.Conv2d(1, width, 6, stride=2, padding=2)
        self.down1 = Block(width, width, embedding)
        self.shrink = nn.Conv2d(width, wide, 3, stride=2, padding=1)
        self.down2 = Block(wide, wide, embedding)
        self.attention = Attention(wide)
        self.middle = Block(wide, wide, embedding)
        self.up1 = Block(2 * wide, wide, embedding)
        self.up2 = Block(wide, wide, embedding)
        self.up3 = Block(wide + width, width, embedding)
        self.up4 = Block(2 * width, width, embedding)
        self.norm = GroupNorm(width)
        self.last = zeros(nn.Conv2d(width, 4, 3, padding=1))

    def network(self, x: Tensor, noise: Tensor, classes: Tensor) -> Tensor:
        angles = noise[:, None] * self.frequencies
        features = torch.cat([angles.cos(), angles.sin()], 1)
        e = F.silu(self.embed_sigma(features) + self.embed_class(classes))
        e = F.silu(self.embed(e))

        first = self.first(x)
        down1 = self.down1(first, e)
        down2 = self.down2(self.shrink(down1), e)
        h = self.middle(self.attention(down2), e)
        h = self.up1(torch.cat([h, down2], 1), e)
        h = F.interpolate(self.up2(h, e), scale_factor=2, mode="nearest")
        h = self.up3(torch.cat([h, down1], 1), e)
        h = self.up4(torch.cat([h, first], 1), e)
        return F.pixel_shuffle(self.last(F.silu(self.norm(h))), 2)

    def forward(self, x: Tensor, sigma: Tensor, classes: Tensor) -> Tensor:
        sigma = sigma[:, None, None, None]
        total = sigma * sigma + SD * SD
        centred = x - MEAN
        told = self.network(centred / total.sqrt(), sigma[:, 0, 0, 0].log() / 4, classes)
        return MEAN + centred * (SD * SD / total) + told * (SD * sigma / total.sqrt())
