"""diffusers' ScoreSdeVeScheduler over vesde's C ABI: the same methods and arguments, so that a program which uses the one can use the
other. float32 on the CPU.

Noise comes from what diffusers takes, a torch.Generator (or none, for torch's default one) or a list of them, one a sample, and besides from
numpy.random.RandomState and from vesde.TorchCuda, the generator of a GPU. Their states are read and written back, so that they go
on as if torch or NumPy had drawn.
"""

import ctypes
import json
import pathlib
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch

import vesde

# ---- noise --------------------------------------------------------------------------------------------------------

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


def paired(kind, words, taken, has_cached, cached):
    state = kind(taken=taken, has_cached=has_cached, cached=cached)
    state.words[:] = [int(word) for word in words]
    return state


def read_state(generator):
    """vesde's state of a generator, and how to write it back."""
    if generator is None:
        generator = torch.default_generator
    if isinstance(generator, vesde.TorchCuda):
        return generator, lambda state: None
    if isinstance(generator, np.random.RandomState):
        _, words, taken, has_cached, cached = generator.get_state()
        state = paired(vesde.Numpy, words, taken, has_cached, cached)
        return state, lambda s: generator.set_state(
            ("MT19937", np.array(s.words, np.uint32), s.taken, s.has_cached, s.cached if s.has_cached else 0.0)
        )
    if generator.device.type != "cpu":
        raise ValueError("for the generator of a GPU take vesde.TorchCuda(seed, offset, grid)")
    record = np.frombuffer(generator.get_state().numpy().tobytes(), TORCH_STATE)[0].copy()
    # torch counts what is left of a block, and one more; a block that is used up has 1.
    state = paired(
        vesde.TorchCpu, record["words"], 625 - int(record["left"]), int(record["has_cached"]), record["cached"]
    )

    def write_back(state):
        record["words"] = state.words[:]
        record["left"], record["next"] = 625 - state.taken, state.taken
        record["has_cached"] = state.has_cached
        record["cached"] = state.cached if state.has_cached else 0.0
        generator.set_state(torch.frombuffer(bytearray(record.tobytes()), dtype=torch.uint8))

    return state, write_back


FILL = {vesde.TorchCpu: "torch_cpu_fill", vesde.TorchCuda: "torch_cuda_fill", vesde.Numpy: "numpy_fill"}


def randn(shape, generator=None):
    """Standard normal noise as diffusers' randn_tensor draws it: one call for the batch, or with a list one call a sample."""
    several = list(generator) if isinstance(generator, (list, tuple)) else [generator]
    if len(several) not in (1, shape[0]):
        raise ValueError(f"{len(several)} generators for a batch of {shape[0]}")
    if len({id(one) for one in several}) < len(several):  # one that stands there twice goes on from the first to the second
        return torch.cat([randn((1, *shape[1:]), one) for one in several])
    states, write_backs = zip(*map(read_state, several))
    kind = type(states[0])
    if any(type(state) is not kind for state in states):
        raise ValueError("the generators of a list must be of one kind")
    out = np.empty(shape, np.float32)
    array = (kind * len(states))(*states)
    vesde.call(FILL[kind], array, ctypes.c_size_t(len(states)), ctypes.c_size_t(out.size), vesde.pointer(out))
    for state, generator, write_back in zip(array, states, write_backs):
        if kind is vesde.TorchCuda:
            generator.offset = state.offset
        write_back(state)
    return torch.from_numpy(out)


# ---- the scheduler ------------------------------------------------------------------------------------------------


class Output:
    """An output that is also the tuple of its fields."""

    def __iter__(self):
        return iter(vars(self).values())

    def __getitem__(self, key):
        return getattr(self, key) if isinstance(key, str) else tuple(self)[key]


@dataclass
class SdeVeOutput(Output):
    prev_sample: torch.Tensor
    prev_sample_mean: torch.Tensor


@dataclass
class SchedulerOutput(Output):
    prev_sample: torch.Tensor


def floats(tensor):
    """A tensor's elements in order, as vesde reads them."""
    return np.ascontiguousarray(torch.as_tensor(tensor).detach().numpy(), np.float32)


class ScoreSdeVeScheduler:
    """The variance-exploding SDE's scheduler (Song et al. 2021), with diffusers' methods."""

    order = 1
    # diffusers' norm, bit for bit. vesde.NORM_EXACT is right to 1e-7 at every size; torch's is off by 6e-5 at 3 million elements.
    norm = vesde.NORM_TORCH

    def __init__(
        self,
        num_train_timesteps: int = 2000,
        snr: float = 0.15,
        sigma_min: float = 0.01,
        sigma_max: float = 1348.0,
        sampling_eps: float = 1e-5,
        correct_steps: int = 1,
    ):
        self._config = vesde.Config(snr, sigma_min, sigma_max, sampling_eps, num_train_timesteps, correct_steps)
        vesde.call("config_validate", ctypes.byref(self._config))
        self.config = SimpleNamespace(**{name: getattr(self._config, name) for name, _ in vesde.Config._fields_})
        sigma = ctypes.c_float()
        vesde.call("init_noise_sigma", ctypes.byref(self._config), ctypes.byref(sigma))
        self.init_noise_sigma = sigma.value
        self.timesteps = None
        self.set_sigmas(num_train_timesteps)

    def __len__(self):
        return self.config.num_train_timesteps

    @classmethod
    def from_config(cls, config):
        """From the keys of a scheduler_config.json; those that it does not know are ignored."""
        text, read = json.dumps(dict(config)).encode(), vesde.Config()
        vesde.call("config_from_json", text, ctypes.c_size_t(len(text)), ctypes.byref(read))
        return cls(**{name: getattr(read, name) for name, _ in vesde.Config._fields_})

    @classmethod
    def from_pretrained(cls, folder):
        return cls.from_config(json.loads(pathlib.Path(folder, "scheduler_config.json").read_text()))

    def save_config(self, folder):
        text, length = ctypes.create_string_buffer(512), ctypes.c_size_t()
        vesde.call("config_to_json", ctypes.byref(self._config), text, ctypes.c_size_t(512), ctypes.byref(length))
        pathlib.Path(folder, "scheduler_config.json").write_bytes(text.raw[: length.value])

    save_pretrained = save_config

    def _config_with(self, **overrides):
        config = type(self._config).from_buffer_copy(self._config)
        for name, value in overrides.items():
            if value is not None:
                setattr(config, name, value)
        return ctypes.byref(config)

    def scale_model_input(self, sample: torch.Tensor, timestep: int | None = None) -> torch.Tensor:
        return sample

    def set_timesteps(
        self, num_inference_steps: int, sampling_eps: float | None = None, device: str | torch.device | None = None
    ):
        if device is not None and torch.device(device).type != "cpu":
            raise ValueError("vesde works on the CPU")
        timesteps = np.empty(num_inference_steps, np.float32)
        config = self._config_with(sampling_eps=sampling_eps)
        vesde.call("set_timesteps", config, ctypes.c_size_t(timesteps.size), vesde.pointer(timesteps))
        self.timesteps = torch.from_numpy(timesteps)

    def set_sigmas(
        self,
        num_inference_steps: int,
        sigma_min: float | None = None,
        sigma_max: float | None = None,
        sampling_eps: float | None = None,
    ):
        if self.timesteps is None:
            self.set_timesteps(num_inference_steps, sampling_eps)
        timesteps = floats(self.timesteps)
        sigmas, discrete_sigmas = np.empty_like(timesteps), np.empty(num_inference_steps, np.float32)
        vesde.call(
            "set_sigmas",
            self._config_with(sigma_min=sigma_min, sigma_max=sigma_max, sampling_eps=sampling_eps),
            vesde.pointer(timesteps),
            ctypes.c_size_t(timesteps.size),
            ctypes.c_size_t(discrete_sigmas.size),
            vesde.pointer(sigmas),
            vesde.pointer(discrete_sigmas),
        )
        self.sigmas, self.discrete_sigmas = torch.from_numpy(sigmas), torch.from_numpy(discrete_sigmas)

    def _tables(self):
        """vesde's scheduler on the tensors as they are now, and what must live as long."""
        arrays = [floats(table) for table in (self.timesteps, self.sigmas, self.discrete_sigmas)]
        fields = (field for array in arrays for field in (vesde.pointer(array), array.size))
        return vesde.Scheduler(self._config, *fields), arrays

    def get_adjacent_sigma(self, timesteps: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        scheduler, _arrays = self._tables()
        indices, out = torch.as_tensor(timesteps), ctypes.c_float()

        def adjacent(index):
            vesde.call("get_adjacent_sigma", ctypes.byref(scheduler), ctypes.c_size_t(index), ctypes.byref(out))
            return out.value

        return torch.tensor([adjacent(int(i)) for i in indices.flatten()]).reshape(indices.shape)

    def step_pred(
        self,
        model_output: torch.Tensor,
        timestep: int,
        sample: torch.Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> SdeVeOutput | tuple:
        scheduler, _arrays = self._tables()
        score, x, t = floats(model_output), floats(sample), np.atleast_1d(floats(timestep))
        noise = floats(randn(x.shape, generator))
        prev_sample, prev_sample_mean = np.empty_like(x), np.empty_like(x)
        vesde.call(
            "step_pred",
            ctypes.byref(scheduler),
            vesde.pointer(score),
            vesde.pointer(t),
            ctypes.c_size_t(t.size),
            vesde.pointer(x),
            vesde.pointer(noise),
            ctypes.c_size_t(x.size),
            vesde.pointer(prev_sample),
            vesde.pointer(prev_sample_mean),
        )
        output = SdeVeOutput(torch.from_numpy(prev_sample), torch.from_numpy(prev_sample_mean))
        return output if return_dict else tuple(output)

    def step_correct(
        self,
        model_output: torch.Tensor,
        sample: torch.Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> SchedulerOutput | tuple:
        scheduler, _arrays = self._tables()
        score, x = floats(model_output), floats(sample)
        noise = floats(randn(x.shape, generator))
        prev_sample = np.empty_like(x)
        vesde.call(
            "step_correct",
            ctypes.byref(scheduler),
            vesde.pointer(score),
            vesde.pointer(x),
            vesde.pointer(noise),
            ctypes.c_size_t(x.size),
            ctypes.c_size_t(x.shape[0]),
            vesde.AVERAGING_BATCH,
            self.norm,
            vesde.pointer(prev_sample),
            None,
        )
        output = SchedulerOutput(torch.from_numpy(prev_sample))
        return output if return_dict else tuple(output)

    def add_noise(
        self, original_samples: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        scheduler, _arrays = self._tables()
        x, indices = floats(original_samples), np.ascontiguousarray(timesteps, np.int64)
        noise = floats(randn(x.shape) if noise is None else noise)
        noisy_samples = np.empty_like(x)
        vesde.call(
            "add_noise",
            ctypes.byref(scheduler),
            vesde.pointer(x),
            vesde.pointer(indices),
            ctypes.c_size_t(indices.size),
            vesde.pointer(noise),
            ctypes.c_size_t(x.size),
            vesde.pointer(noisy_samples),
        )
        return torch.from_numpy(noisy_samples)
