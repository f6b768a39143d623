"""diffusers' ScoreSdeVeScheduler with the arithmetic of vesde's C ABI. It is a class of diffusers'
own, so that configuration, files, pipelines and outputs are diffusers'; the tables, steps and noise
are vesde's.

Samples, scores and noise live on the CPU, in whatever layout. What is float32 in diffusers (that
includes results from float16, bfloat16 and integers) has its shape, strides and bits: with the same
tables, and where torch's square root is the nearest float. What vesde cannot compute raises:
TypeError for a result of another type (float64, complex); ValueError for another device, for a
gradient that would be recorded, for a timestep outside 0 to 1, and for a score whose norm is 0,
infinite or NaN.

Noise comes from what diffusers takes, a torch.Generator (or none, for torch's default one) or a
list of them, one a sample, and besides from numpy.random.RandomState and from vesde's generators:
that of a GPU is vesde.TorchCuda(seed, gpu). Their states are read and written back.
They go on as if torch or NumPy had drawn, with one exception: the second normal of a pair, which is
kept in double, has another last bit in about 3 % of the pairs, since vesde's logarithm, sine and
cosine are not glibc's. A float64 draw shows it, if it comes next. torch itself draws what is not
float32 and in order: half precision, and noise in the strides of a sample (add_noise without
noise), where its normals are others.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, TypeAlias

import diffusers
import numpy as np
import numpy.typing as npt
import torch
from diffusers.schedulers.scheduling_sde_ve import SdeVeOutput

# A pipeline that is loaded finds SchedulerMixin among the names of a scheduler's module.
from diffusers.schedulers.scheduling_utils import SchedulerMixin, SchedulerOutput  # noqa: F401

from . import abi
from .noise import Array, Generator

Draws: TypeAlias = torch.Generator | np.random.RandomState | Generator | None

# ---- noise --------------------------------------------------------------------------------------

# How torch.Generator.get_state() lays out the CPU generator.
TORCH_STATE = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),
        ("seeded", "<i4"),
        ("next", "<u8"),
        ("words", "<u8", 624),
        ("unused_x", "<f8"),
        ("cached", "<f8"),
        ("unused_rho", "<f8"),
        ("has_cached", "<i4"),
        ("rest", "V12"),
    ]
)


def paired(
    kind: int, words: npt.NDArray[Any], taken: int, has_cached: int, cached: float
) -> abi.Generator:
    mt = abi.Mt19937((ctypes.c_uint32 * 624)(*map(int, words)), taken)
    return abi.Generator(kind=kind, paired=abi.Paired(mt, has_cached, cached))


State: TypeAlias = tuple[abi.Generator, Callable[[abi.Paired], None]]


def numpy_state(generator: np.random.RandomState) -> State:
    """vesde's state of a generator, and how to write it back."""
    _, *of = generator.get_state(legacy=True)
    state = paired(abi.NUMPY, *of)

    def write_back(state: abi.Paired) -> None:
        cached = state.cached if state.has_cached else 0.0
        words = np.array(state.mt.words, np.uint32)
        generator.set_state(("MT19937", words, state.mt.taken, state.has_cached, cached))

    return state, write_back


def torch_state(generator: torch.Generator) -> State:
    if generator.device.type != "cpu":
        raise ValueError("of a GPU take vesde.TorchCuda(seed, gpu)")
    record = np.frombuffer(generator.get_state().numpy().tobytes(), TORCH_STATE)[0].copy()
    # torch counts what is left of a block, and one more; a block that is used up has 1.
    taken, has_cached = 625 - int(record["left"]), int(record["has_cached"])
    state = paired(abi.TORCH_CPU, record["words"], taken, has_cached, record["cached"])

    def write_back(state: abi.Paired) -> None:
        record["words"] = state.mt.words[:]
        record["left"], record["next"] = 625 - state.mt.taken, state.mt.taken
        record["has_cached"] = state.has_cached
        record["cached"] = state.cached if state.has_cached else 0.0
        generator.set_state(torch.frombuffer(bytearray(record.tobytes()), dtype=torch.uint8))

    return state, write_back


def randn(
    shape: tuple[int, ...],
    generator: Draws | list[Draws] = None,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Standard normal noise as diffusers' randn_tensor draws it: one call for the batch, or with a
    list one call a sample."""
    batch = shape[0]
    if isinstance(generator, list):
        several, generator = generator, generator[0]
        if len(several) > 1:
            of_one = (1, *shape[1:])
            return torch.cat([randn(of_one, several[i], dtype) for i in range(batch)])
    torch_draws = generator is None or isinstance(generator, torch.Generator)
    if torch_draws and dtype != torch.float32:
        return torch.randn(shape, generator=generator, dtype=dtype)
    if isinstance(generator, Generator):
        return torch.from_numpy(generator.randn(shape)).to(dtype)
    if isinstance(generator, np.random.RandomState):
        state, write_back = numpy_state(generator)
    else:
        state, write_back = torch_state(generator or torch.default_generator)
    out = np.empty(shape, np.float32)
    if out.size > 0:
        one, length = ctypes.c_size_t(1), ctypes.c_size_t(out.size)
        abi.call("randn", ctypes.byref(state), one, length, abi.pointer(out))
        write_back(state.paired)
    return torch.from_numpy(out).to(dtype)


# ---- tensors ------------------------------------------------------------------------------------


def without_data(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor without its data: from formulas of such tensors torch says what shape, type and
    strides come out, or raises what it has to raise, before memory is read. Strides are others than
    with data in 1 of 48,000 calls with random layouts: a broadcast that was broadcast again."""
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
        raise TypeError(f"vesde takes tensors of strided layout, not {tensor!r}")
    if tensor.device.type != "cpu":
        raise ValueError(f"vesde works on the CPU: move the tensor from {tensor.device} there")
    if tensor.requires_grad and torch.is_grad_enabled():
        raise ValueError("vesde records no gradients: call it under torch.no_grad(), or detach")
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def insist_on_float32(like: torch.Tensor) -> None:
    if like.dtype != torch.float32:
        raise TypeError(f"vesde computes in float32, and the result would be {like.dtype}")


def floats(tensor: torch.Tensor, shape: tuple[int, ...]) -> Array:
    """A tensor's elements, broadcast to a shape, in order."""
    return tensor.detach().expand(shape).to(torch.float32).resolve_neg().contiguous().numpy()


def result(array: Array, like: torch.Tensor) -> torch.Tensor:
    """The tensor of a result: its elements in order from `array`, shape and strides of `like`."""
    tensor = torch.from_numpy(array)
    if tensor.stride() == like.stride():
        return tensor
    return torch.empty_strided(like.shape, like.stride(), dtype=tensor.dtype).copy_(tensor)


def per_sample(values: torch.Tensor, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Values that are to be broadcast to a shape, as vesde takes them: each stands for the same
    number of elements, one after the other."""
    values = values[(None,) * (len(shape) - values.ndim)]
    varying = max((axis + 1 for axis in range(values.ndim) if values.shape[axis] != 1), default=0)
    return values.expand(*shape[:varying], *values.shape[varying:]).contiguous().numpy()


def mean_norm(tensor: torch.Tensor) -> float:
    """The mean norm of a batch's samples, as torch computes it: by vesde for floats in order, by
    torch itself for others, whose squares it sums in another order or precision."""
    samples = tensor.detach().reshape(len(tensor), -1)
    if samples.dtype != torch.float32 or not samples.is_contiguous():
        return torch.norm(samples, dim=-1).mean().item()
    norms, mean = np.empty(len(samples), np.float64), ctypes.c_double()
    for i, sample in enumerate(floats(samples, samples.shape)):
        length = ctypes.c_size_t(sample.size)
        abi.call("torch_norm", abi.given_noise(sample), length, abi.pointer(norms[i:]))
    batch = ctypes.c_size_t(norms.size)
    abi.call("mean_norm", abi.pointer(norms), batch, abi.NORM_TORCH, ctypes.byref(mean))
    return mean.value


# ---- the scheduler ------------------------------------------------------------------------------


class ScoreSdeVeScheduler(diffusers.ScoreSdeVeScheduler):
    """The variance-exploding SDE's scheduler (Song et al. 2021), computed by vesde."""

    def _config(self, **overrides: float | None) -> abi.Config:
        """vesde's configuration. Only its sampler reads the two counts, which are Python's here."""
        names = ("snr", "sigma_min", "sigma_max", "sampling_eps")
        given = {name: value for name, value in overrides.items() if value is not None}
        return abi.Config(*(given.get(name, self.config[name]) for name in names), 1, 1)

    def _tables(self) -> abi.Scheduler:
        """vesde's scheduler on the tensors as they are now."""
        if self.timesteps is None:
            raise ValueError("there are no timesteps: call set_timesteps first")
        arrays = []
        for name in ("timesteps", "sigmas", "discrete_sigmas"):
            table = without_data(getattr(self, name))
            if table.ndim != 1 or table.dtype != torch.float32:
                raise TypeError(f"{name} must be a vector of float32")
            arrays.append(floats(getattr(self, name), table.shape))
        fields = (field for array in arrays for field in (abi.pointer(array), array.size))
        scheduler = abi.Scheduler(self._config(), *fields)
        scheduler.arrays = arrays  # which must live as long as the struct that points to them
        return scheduler

    def set_timesteps(
        self,
        num_inference_steps: int,
        sampling_eps: float | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        if device is not None and torch.device(device).type != "cpu":
            raise ValueError("vesde works on the CPU")
        insist_on_float32(torch.linspace(1, 0, num_inference_steps, device="meta"))
        timesteps = np.empty(num_inference_steps, np.float32)
        config, length = self._config(sampling_eps=sampling_eps), ctypes.c_size_t(timesteps.size)
        abi.call("set_timesteps", ctypes.byref(config), length, abi.pointer(timesteps))
        self.timesteps = torch.from_numpy(timesteps)

    def set_sigmas(
        self,
        num_inference_steps: int,
        sigma_min: float | None = None,
        sigma_max: float | None = None,
        sampling_eps: float | None = None,
    ) -> None:
        if self.timesteps is None:
            self.set_timesteps(num_inference_steps, sampling_eps)
        insist_on_float32(torch.linspace(1, 0, num_inference_steps, device="meta"))
        timesteps = floats(self.timesteps, without_data(self.timesteps).shape)
        sizes = timesteps.size, num_inference_steps
        sigmas, discrete_sigmas = (np.empty(size, np.float32) for size in sizes)
        config = self._config(sigma_min=sigma_min, sigma_max=sigma_max, sampling_eps=sampling_eps)
        abi.call(
            "set_sigmas",
            ctypes.byref(config),
            abi.pointer(timesteps),
            ctypes.c_size_t(timesteps.size),
            ctypes.c_size_t(discrete_sigmas.size),
            abi.pointer(sigmas),
            abi.pointer(discrete_sigmas),
        )
        self.sigmas, self.discrete_sigmas = map(torch.from_numpy, (sigmas, discrete_sigmas))

    def get_adjacent_sigma(self, timesteps: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        scheduler = self._tables()
        # torch's indexing: what is negative counts from the end, what is beyond it raises.
        below = torch.arange(len(self.discrete_sigmas))[timesteps - 1]
        indices = torch.where(timesteps == 0, 0, below + 1)
        at = without_data(indices)
        like = torch.where(at == 0, without_data(t), torch.empty(at.shape, device="meta"))
        insist_on_float32(like)
        sigmas = np.empty(indices.shape, np.float32)
        for sigma, index in zip(sigmas.reshape(-1, 1), indices.flatten().tolist()):
            index = ctypes.c_size_t(index)
            abi.call("get_adjacent_sigma", ctypes.byref(scheduler), index, abi.pointer(sigma))
        return result(floats(torch.from_numpy(sigmas), like.shape), like)

    def step_pred(
        self,
        model_output: torch.Tensor,
        timestep: float | torch.Tensor,
        sample: torch.Tensor,
        generator: Draws | list[Draws] = None,
        return_dict: bool = True,
    ) -> SdeVeOutput | tuple[torch.Tensor, ...]:
        scheduler = self._tables()
        t = (timestep * torch.ones(sample.shape[0])).flatten()
        # torch's error where the tables have no such index.
        self.discrete_sigmas[(t * (len(self.timesteps) - 1)).long()]
        t = t[(..., *(None,) * (sample.ndim - 1))]
        x, score, diffusion = map(without_data, (sample, model_output, t))
        mean = x - (torch.zeros_like(x) - diffusion * score)
        prev = mean + diffusion * torch.empty(x.shape, dtype=x.dtype, device="meta")
        insist_on_float32(prev)
        noise = randn(sample.shape, generator, sample.dtype)
        prev_sample, prev_sample_mean = (np.empty(mean.shape, np.float32) for _ in range(2))
        if prev_sample.size > 0:
            t = per_sample(t, mean.shape)
            x, score, z = (floats(one, mean.shape) for one in (sample, model_output, noise))
            step = abi.Step(
                abi.pointer(score),
                abi.pointer(x),
                x.size,
                t.size,
                abi.given_noise(z),
                abi.pointer(prev_sample),
                abi.pointer(prev_sample_mean),
            )
            timesteps = abi.pointer(t), ctypes.c_size_t(t.size)
            abi.call("step_pred", ctypes.byref(scheduler), *timesteps, ctypes.byref(step))
        output = SdeVeOutput(result(prev_sample, prev), result(prev_sample_mean, mean))
        return output if return_dict else output.to_tuple()

    def step_correct(
        self,
        model_output: torch.Tensor,
        sample: torch.Tensor,
        generator: Draws | list[Draws] = None,
        return_dict: bool = True,
    ) -> SchedulerOutput | tuple[torch.Tensor, ...]:
        if self.timesteps is None:
            raise ValueError("there are no timesteps: call set_timesteps first")
        noise = randn(sample.shape, generator)
        x, score, z = map(without_data, (sample, model_output, noise))
        for of in (score, z):
            torch.norm(of.reshape(of.shape[0], -1), dim=-1)
        step_size = torch.empty((x.shape[0], *(1,) * (x.ndim - 1)), device="meta")
        prev = x + step_size * score + step_size * z
        insist_on_float32(prev)
        prev_sample = np.empty(prev.shape, np.float32)
        if prev_sample.size > 0:
            step = abi.CorrectorStep()
            abi.call(
                "get_corrector_step",
                ctypes.c_double(self.config.snr),
                ctypes.c_double(mean_norm(model_output)),
                ctypes.c_double(mean_norm(noise)),
                abi.NORM_TORCH,
                ctypes.byref(step),
            )
            x, score, z = (floats(one, prev.shape) for one in (sample, model_output, noise))
            terms = ((1.0, abi.pointer(x)), (step.step_size, abi.pointer(score)))
            combination = abi.Combination(
                terms=terms,
                terms_len=len(terms),
                len=x.size,
                noise=abi.given_noise(z),
                noise_factor=step.noise_factor,
                out=abi.pointer(prev_sample),
            )
            abi.call("linear", ctypes.byref(combination))
        output = SchedulerOutput(result(prev_sample, prev))
        return output if return_dict else output.to_tuple()

    def add_noise(
        self,
        original_samples: torch.Tensor,
        noise: torch.Tensor | None,
        timesteps: torch.Tensor,
    ) -> torch.Tensor:
        scheduler = self._tables()
        indices = torch.arange(len(self.discrete_sigmas))[timesteps.to("cpu")]
        x = without_data(original_samples)
        if noise is None:
            in_order = x.ndim > 0 and x.dtype == torch.float32 and x.is_contiguous()
            noise = randn(x.shape) if in_order else torch.randn_like(original_samples)
        indices = indices[:, None, None, None]
        sigmas = torch.empty_strided(indices.shape, indices.stride(), device="meta")
        noisy = without_data(noise) * sigmas + x
        insist_on_float32(noisy)
        noisy_samples = np.empty(noisy.shape, np.float32)
        if noisy_samples.size > 0:
            indices = per_sample(indices, noisy.shape)
            x, z = (floats(one, noisy.shape) for one in (original_samples, noise))
            batch = ctypes.c_size_t(indices.size)
            abi.call(
                "add_noise",
                ctypes.byref(scheduler),
                abi.pointer(x),
                ctypes.c_size_t(x.size),
                batch,
                abi.pointer(indices),
                batch,
                abi.given_noise(z),
                abi.pointer(noisy_samples),
            )
        return result(noisy_samples, noisy)
