"""torch's and CUDA's noise as NumPy arrays, and samplers of score networks: vesde for Python.

    import vesde

    noise = vesde.TorchCpu(42).randn((1, 3, 64, 64))  # torch.randn's bits
    sigmas = vesde.karras_sigmas(20, 0.01, 50.0)
    x = vesde.sample(denoise, (16, 3, 64, 64), sigmas, eta=1.0, seed=42)

`denoise` is yours: of a batch and a sigma it gives the denoised batch. vesde.diffusers has a
ScoreSdeVeScheduler for diffusers' pipelines, and vesde.abi the C functions through ctypes. Wrong
values raise ValueError, `Error` where the library has refused them, and wrong types TypeError.
"""

from . import abi
from .abi import Error
from .noise import Counter, Generator, Numpy, TorchCpu, TorchCuda, counter_noise
from .samplers import (
    Config,
    Solution,
    bits_per_dim,
    geometric_sigmas,
    karras_sigmas,
    log_likelihood,
    sample,
    sample_sde,
    solve_ode,
)

__version__ = abi.version()

__all__ = [
    "Config",
    "Counter",
    "Error",
    "Generator",
    "Numpy",
    "Solution",
    "TorchCpu",
    "TorchCuda",
    "bits_per_dim",
    "counter_noise",
    "geometric_sigmas",
    "karras_sigmas",
    "log_likelihood",
    "sample",
    "sample_sde",
    "solve_ode",
]
