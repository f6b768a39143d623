"""vesde.h through ctypes: structs, and calls that raise `Error` with the library's own message. For
what the package has no function for. Whoever makes a struct keeps what it points to alive.

VESDE_LIBRARY names another shared library than the package's.
"""

import ctypes
import functools
import os
import pathlib
import platform
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

LEVELS = ("baseline", "AVX2", "AVX-512")

# What the enums of vesde.h call them.
NORM_TORCH = 1
GIVEN_NOISE, COUNTER_NOISE = 1, 2
GIVEN_SAMPLE = 1
COUNTER, TORCH_CPU, TORCH_CUDA, NUMPY = range(4)
TIMESTEP_OUT_OF_RANGE, ZERO_GRADIENT_NORM, NON_FINITE_GRADIENT_NORM = -30, -32, -33


class Config(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_double) for name in ("snr", "sigma_min", "sigma_max", "sampling_eps")
    ]
    _fields_ += [(name, ctypes.c_uint32) for name in ("num_train_timesteps", "correct_steps")]


class Scheduler(ctypes.Structure):
    _fields_ = [("config", Config)] + [
        field
        for table in ("timesteps", "sigmas", "discrete_sigmas")
        for field in ((table, ctypes.c_void_p), (table + "_len", ctypes.c_size_t))
    ]


class CorrectorStep(ctypes.Structure):
    _fields_ = [(name, ctypes.c_float) for name in ("step_size", "noise_factor")]


class Counter(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("seed", "stream", "index")]


class Noise(ctypes.Structure):
    """Without arguments it is none."""

    _fields_ = [("kind", ctypes.c_int32), ("given", ctypes.c_void_p), ("counter", Counter)]


class Step(ctypes.Structure):
    _fields_ = [
        ("model_output", ctypes.c_void_p),
        ("sample", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
        ("batch", ctypes.c_size_t),
        ("noise", Noise),
        ("prev_sample", ctypes.c_void_p),
        ("prev_sample_mean", ctypes.c_void_p),
        ("predictor", ctypes.c_int32),
    ]


class Term(ctypes.Structure):
    _fields_ = [("factor", ctypes.c_float), ("buffer", ctypes.c_void_p)]


class Combination(ctypes.Structure):
    _fields_ = [
        ("terms", Term * 8),
        ("terms_len", ctypes.c_size_t),
        ("second_factors", ctypes.c_float * 8),
        ("len", ctypes.c_size_t),
        ("noise", Noise),
        ("noise_factor", ctypes.c_float),
        ("clamped", ctypes.c_int32),
        ("clamp_low", ctypes.c_float),
        ("clamp_high", ctypes.c_float),
        ("out", ctypes.c_void_p),
        ("mean", ctypes.c_void_p),
    ]


class Imputation(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("mask", ctypes.c_void_p),
        ("mask_len", ctypes.c_size_t),
        ("sample", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
        ("noise", Noise),
        ("sigma", ctypes.c_float),
        ("out", ctypes.c_void_p),
    ]


class SamplerOptions(ctypes.Structure):
    """All zeros is the default."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("seed", "stream", "first_step")]
    _fields_ += [
        (name, ctypes.c_int32)
        for name in (
            *(
                "noise",
                "averaging",
                "norm",
                "unclamped",
                "result",
                "start",
                "predictor",
                "corrector",
            ),
            "conditions",
        )
    ]
    _fields_ += [
        ("step_lr", ctypes.c_float),
        ("method", ctypes.c_int32),
        ("prediction", ctypes.c_int32),
    ]
    _fields_ += [("order", ctypes.c_uint32)]
    _fields_ += [
        (name, ctypes.c_float) for name in ("eta", "s_noise", "s_churn", "s_tmin", "s_tmax")
    ]
    _fields_ += [("denoised_clamped", ctypes.c_int32)]
    _fields_ += [(name, ctypes.c_float) for name in ("denoised_low", "denoised_high")]


class Sampler(ctypes.Structure):
    """A job's state: copied, not looked into."""

    _fields_ = [
        ("config", Config),
        ("numbers", ctypes.c_uint64 * 5),
        ("choices", ctypes.c_int32 * 20),
    ]


class Buffers(ctypes.Structure):
    _fields_ = [
        ("sample", ctypes.c_void_p),
        ("model_output", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
    ]
    _fields_ += [("noise", ctypes.c_void_p), ("workspace", ctypes.c_void_p)]
    _fields_ += [("workspace_len", ctypes.c_size_t), ("denoised", ctypes.c_void_p)]


class Request(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("correction", ctypes.c_uint32)]
    _fields_ += [(name, ctypes.c_size_t) for name in ("step", "steps")]
    _fields_ += [(name, ctypes.c_uint64) for name in ("label", "draw")]
    _fields_ += [(name, ctypes.c_float) for name in ("sigma", "timestep")]
    _fields_ += [(name, ctypes.c_int32) for name in ("after", "last")]


class OdeOptions(ctypes.Structure):
    """All zeros is the default."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("seed", "stream", "max_evaluations")]
    _fields_ += [
        (name, ctypes.c_double) for name in ("rtol", "atol", "max_step", "first_step", "difference")
    ]
    _fields_ += [
        (name, ctypes.c_int32)
        for name in (
            "noise",
            "start",
            "variable",
            "direction",
            "divergence",
            "probe",
            "state_only",
            "reserved",
        )
    ]


class Ode(ctypes.Structure):
    """A job's state: copied, not looked into."""

    _fields_ = [
        ("config", Config),
        ("numbers", ctypes.c_uint64 * 19),
        ("choices", ctypes.c_int32 * 10),
    ]


class OdeBuffers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("sample", "input", "model_output")]
    _fields_ += [("len", ctypes.c_size_t)]
    _fields_ += [(name, ctypes.c_void_p) for name in ("noise", "probe", "product", "workspace")]
    _fields_ += [("workspace_stride", ctypes.c_size_t), ("log_densities", ctypes.c_void_p)]
    _fields_ += [("log_densities_len", ctypes.c_size_t), ("start", ctypes.c_size_t)]


class OdeRequest(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("stage", ctypes.c_uint32)]
    _fields_ += [(name, ctypes.c_float) for name in ("sigma", "timestep")]
    _fields_ += [("u", ctypes.c_double), ("unit", ctypes.c_uint64), ("draw", ctypes.c_uint64)]
    _fields_ += [(name, ctypes.c_int32) for name in ("accepted", "reserved")]


class Mt19937(ctypes.Structure):
    _fields_ = [("words", ctypes.c_uint32 * 624), ("taken", ctypes.c_uint32)]


class Paired(ctypes.Structure):
    """MT19937 and the second normal of a pair: torch's CPU generator, and NumPy's."""

    _fields_ = [
        ("mt", Mt19937),
        ("has_cached", ctypes.c_uint32),
        ("cached", ctypes.c_double),
    ]


class CudaGrid(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint32) for name in ("multiprocessors", "threads_per_multiprocessor")
    ]


class TorchCuda(ctypes.Structure):
    _fields_ = [("seed", ctypes.c_uint64), ("offset", ctypes.c_uint64), ("grid", CudaGrid)]


class Generator(ctypes.Structure):
    """Of any kind; `generator` seeds one."""

    _fields_ = [("paired", Paired), ("counter", Counter), ("torch_cuda", TorchCuda)]
    _fields_ += [(name, ctypes.c_int32) for name in ("kind", "reserved")]


class Error(ValueError):
    """A status other than VESDE_OK, of the function `vesde_<name>`."""

    def __init__(self, name: str, status: int):
        super().__init__(name, status)
        self.name, self.status = name, status

    def __str__(self) -> str:
        message = library().vesde_status_message(self.status).decode()
        return f"vesde_{self.name}: {message} ({self.status})"


@functools.cache
def library() -> ctypes.CDLL:
    name = {"Darwin": "libvesde.dylib", "Windows": "vesde.dll"}.get(
        platform.system(), "libvesde.so"
    )
    path = os.environ.get("VESDE_LIBRARY") or pathlib.Path(__file__).with_name(name)
    loaded = ctypes.CDLL(str(path))
    loaded.vesde_status_message.restype = ctypes.c_char_p
    loaded.vesde_version.restype = ctypes.c_uint32
    loaded.vesde_bits_per_dim.restype = ctypes.c_double
    return loaded


def bind(name: str, *arguments: Any) -> Callable[[], None]:
    """A call of `vesde_<name>`, ready to be made: it insists on success."""
    function = getattr(library(), "vesde_" + name)

    def run() -> None:
        status = function(*arguments)
        if status != 0:
            raise Error(name, status)

    return run


def call(name: str, *arguments: Any) -> None:
    bind(name, *arguments)()


def version() -> str:
    number = library().vesde_version()
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


def pointer(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    """The address of a contiguous NumPy array; keeps the array alive."""
    if not array.flags.c_contiguous:
        raise ValueError("vesde reads arrays in order: this one is strided")
    return array.ctypes.data_as(ctypes.c_void_p)


def given_noise(array: npt.NDArray[np.float32]) -> Noise:
    """Noise of an array, which the caller must keep alive: structs do not."""
    return Noise(GIVEN_NOISE, pointer(array))


def counter_noise(counter: Counter) -> Noise:
    return Noise(COUNTER_NOISE, None, counter)


def generator(kind: int, seed: int, grid: CudaGrid | None = None) -> Generator:
    """A seeded generator; `grid` is the GPU's, for TORCH_CUDA."""
    made = Generator()
    at = None if grid is None else ctypes.byref(grid)
    call("generator_seed", kind, ctypes.c_uint64(seed), at, ctypes.byref(made))
    return made


def grid_of_gpu(name: str) -> CudaGrid:
    """The grid of a GPU by the name that torch.cuda.get_device_name gives it."""
    if not isinstance(name, str):
        raise TypeError(f"a GPU's name must be a string, not {type(name).__name__}")
    grid = CudaGrid()
    text = name.encode()
    call("cuda_grid_of_gpu", text, ctypes.c_size_t(len(text)), ctypes.byref(grid))
    return grid
