"""Whole jobs around a network in Python: samplers, the probability-flow ODE, likelihoods."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from . import abi
from .noise import Array, Generator, Shape, destination, unsigned

# Of a batch and a sigma. The batch is the job's own array, to be read only, and not kept.
Network: TypeAlias = Callable[[Array, float], npt.ArrayLike]
# The score, and the product of its Jacobian, or that one's transpose, with the probe.
ScoreAndProduct: TypeAlias = Callable[[Array, float], tuple[npt.ArrayLike, npt.ArrayLike]]

# In the order of vesde.h's enums.
Method = Literal[
    "predictor_corrector", "euler", "heun", "dpm2", "dpmpp2s", "dpmpp2m", "dpmpp2m_exact",
    "dpmpp3m_published", "dpmpp3m", "unipc2", "unipc3", "lms", "ipndm",
]  # fmt: skip
Prediction = Literal["score", "epsilon", "denoised", "v"]
Predictor = Literal[
    "reverse_diffusion", "reverse_diffusion_flow", "ancestral", "none", "euler_maruyama",
    "euler_maruyama_flow",
]  # fmt: skip
Corrector = Literal["langevin", "annealed_langevin", "ncsnv2", "none"]
Result = Literal["mean", "noisy", "denoised"]
Averaging = Literal["batch", "per_sample"]
Norm = Literal["exact", "torch"]
Direction = Literal["sampling", "encoding"]
Variable = Literal["time", "sigma"]

DONE, SCORE, NOISE, SCORE_AND_PRODUCT = range(4)


@dataclasses.dataclass(frozen=True)
class Config:
    """The SDE, and the corrector's snr: diffusers' configuration of ScoreSdeVeScheduler."""

    snr: float = 0.15
    sigma_min: float = 0.01
    sigma_max: float = 1348.0
    sampling_eps: float = 1e-5
    num_train_timesteps: int = 2000
    correct_steps: int = 1

    @classmethod
    def from_json(cls, text: str | bytes) -> Config:
        """Of a scheduler_config.json."""
        text = text.encode() if isinstance(text, str) else bytes(memoryview(text))
        made = abi.Config()
        abi.call("config_from_json", text, ctypes.c_size_t(len(text)), ctypes.byref(made))
        return cls(**{field.name: getattr(made, field.name) for field in dataclasses.fields(cls)})

    def struct(self) -> abi.Config:
        """For calls of `vesde.abi`."""
        for name in ("num_train_timesteps", "correct_steps"):
            unsigned(getattr(self, name), name, bits=32)
        made = abi.Config(*dataclasses.astuple(self))
        abi.call("config_validate", ctypes.byref(made))
        return made


def number(of: Any, name: str, value: str) -> int:
    """What an enum of vesde.h calls the value."""
    values = get_args(of)
    if value not in values:
        raise ValueError(f"{name} must be one of {', '.join(values)}, not {value!r}")
    return values.index(value)


# ---- tables -------------------------------------------------------------------------------------


def _along(name: str, n: SupportsIndex, *numbers: float) -> Array:
    sigmas = np.zeros(unsigned(n, "n") + 1, np.float32)
    doubles = map(ctypes.c_double, numbers)
    abi.call(f"set_{name}_sigmas", *doubles, ctypes.c_size_t(sigmas.size - 1), abi.pointer(sigmas))
    return sigmas


def karras_sigmas(n: SupportsIndex, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Array:
    """n sigmas from sigma_max to sigma_min, whose rho-th roots are equally spaced, and 0."""
    return _along("karras", n, sigma_min, sigma_max, rho)


def geometric_sigmas(n: SupportsIndex, sigma_min: float, sigma_max: float) -> Array:
    """n sigmas from sigma_max to sigma_min, in equal steps of their logarithm, and 0."""
    return _along("geometric", n, sigma_min, sigma_max)


# ---- samplers -----------------------------------------------------------------------------------


def take(answer: npt.ArrayLike, into: Array, what: str = "what the network gave") -> None:
    """An array of the caller's, as the library reads it. None is broadcast."""
    values = np.asarray(answer)
    if values.shape != into.shape:
        raise ValueError(f"{what} has the shape {values.shape}, not {into.shape}")
    np.copyto(into, values, casting="same_kind")


def taken(values: npt.ArrayLike, what: str) -> Array:
    """A new array of the caller's numbers, which must be real, as the library reads it."""
    given = np.asarray(values)
    into = np.empty(given.shape, np.float32)
    take(given, into, what)
    return into


def _run(
    network: Network,
    shape: Shape,
    config: abi.Config,
    tables: abi.Scheduler,
    options: dict[str, Any],
    start: npt.ArrayLike | None,
    seed: SupportsIndex,
    generator: Generator | Iterable[Generator] | None,
) -> Array:
    x = destination(shape, None)
    if x.ndim == 0 or x.size == 0:
        raise ValueError(f"the shape must be (batch, ...), and not empty: {x.shape}")
    if start is not None:
        take(start, x, "start")
    noise, drawn = None, []  # by each generator its part
    if generator is not None:
        generators = [generator] if isinstance(generator, Generator) else list(generator)
        if not all(isinstance(one, Generator) for one in generators):
            raise TypeError("generator must be vesde's, or one of vesde's for each sample")
        if not isinstance(generator, Generator) and len(generators) != len(x):
            raise ValueError(f"there are {len(generators)} generators for {len(x)} samples")
        noise = np.empty_like(x)
        drawn = list(zip(generators, noise.reshape(len(generators), -1)))
    output = np.empty_like(x)
    made = abi.SamplerOptions(
        seed=unsigned(seed, "seed"),
        noise=int(generator is not None),
        start=0 if start is None else abi.GIVEN_SAMPLE,
        **options,
    )
    state, request, length = abi.Sampler(), abi.Request(), ctypes.c_size_t()
    batch, state_at = ctypes.c_size_t(len(x)), ctypes.byref(state)
    abi.call("sampler_init", ctypes.byref(config), batch, ctypes.byref(made), state_at)
    abi.call("sampler_workspace_len", state_at, ctypes.c_size_t(x.size), ctypes.byref(length))
    workspace = np.empty(length.value, np.float32)
    buffers = abi.Buffers(
        sample=abi.pointer(x), model_output=abi.pointer(output), len=x.size,
        noise=None if noise is None else abi.pointer(noise),
        workspace=abi.pointer(workspace), workspace_len=workspace.size,
    )  # fmt: skip
    arguments = (state, tables, buffers, request)
    turn = abi.bind("sampler_next", *(ctypes.byref(argument) for argument in arguments))
    while True:
        turn()
        if request.kind == DONE:
            return x
        if request.kind == SCORE:
            take(network(x, request.sigma), output)
        else:
            for one, part in drawn:
                one.randn(out=part)


def sample(
    network: Network,
    shape: Shape,
    sigmas: npt.ArrayLike,
    *,
    method: Method = "dpmpp2m",
    prediction: Prediction = "denoised",
    eta: float = 0.0,
    s_noise: float = 1.0,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = 0.0,
    order: int = 0,
    denoised_range: tuple[float, float] | None = None,
    start: npt.ArrayLike | None = None,
    seed: SupportsIndex = 0,
    generator: Generator | Iterable[Generator] | None = None,
) -> Array:
    """A batch of samples along a table of sigmas: n + 1 of them are n steps; see `karras_sigmas`.

    `shape` begins with the batch. The network reads the job's own array, and must neither change
    nor keep it; `prediction` says what it gives. With `eta` 1 a step adds as much noise as the
    reverse-time SDE. `s_churn` to `s_tmax` are EDM's (an `s_tmax` of 0 is no limit), `order` is
    that of lms and ipndm, and `denoised_range` clamps the denoised sample of each step. The noise
    is counter noise of `seed`, or a generator's, or that of one for each sample. `start` is a
    sample of the first sigma, instead of noise.
    """
    table = taken(sigmas, "sigmas")
    if table.ndim != 1:
        raise ValueError(f"sigmas must have one dimension, not {table.ndim}")
    options: dict[str, Any] = {"unclamped": 1, "order": unsigned(order, "order", bits=32)}
    options["method"] = number(Method, "method", method)
    if options["method"] == 0:
        raise ValueError("of predictor_corrector take sample_sde")
    options["prediction"] = number(Prediction, "prediction", prediction)
    options.update(eta=eta, s_noise=s_noise, s_churn=s_churn, s_tmin=s_tmin, s_tmax=s_tmax)
    if denoised_range is not None:
        low, high = denoised_range
        options.update(denoised_clamped=1, denoised_low=low, denoised_high=high)
    config = Config().struct()
    tables = abi.Scheduler(config, None, 0, abi.pointer(table), table.size, None, 0)
    return _run(network, shape, config, tables, options, start, seed, generator)


def sample_sde(
    score: Network,
    shape: Shape,
    steps: SupportsIndex,
    config: Config = Config(),
    *,
    predictor: Predictor = "reverse_diffusion",
    corrector: Corrector = "langevin",
    result: Result = "mean",
    averaging: Averaging = "batch",
    norm: Norm = "exact",
    clamped: bool = True,
    step_lr: float = 0.0,
    seed: SupportsIndex = 0,
    generator: Generator | Iterable[Generator] | None = None,
) -> Array:
    """A batch of samples by predictor and corrector (Song et al. 2021), as diffusers' pipeline.

    `score` is called `config.correct_steps` times for the corrector in each step, and once for the
    predictor. `clamped` says whether the result is clamped to 0..1; `step_lr` is ncsnv2's. A
    `TorchCpu` and torch's norm give diffusers' pictures.
    """
    made = config.struct()
    size = ctypes.c_size_t(unsigned(steps, "steps"))
    arrays = [np.empty(size.value, np.float32) for _ in range(3)]
    times, sigmas, discrete = map(abi.pointer, arrays)
    config_at = ctypes.byref(made)
    abi.call("set_timesteps", config_at, size, times)
    abi.call("set_sigmas", config_at, times, size, size, sigmas, discrete)
    tables = abi.Scheduler(
        made, *(of for at in (times, sigmas, discrete) for of in (at, size.value))
    )
    options = {
        "predictor": number(Predictor, "predictor", predictor),
        "corrector": number(Corrector, "corrector", corrector),
        "result": number(Result, "result", result),
        "averaging": number(Averaging, "averaging", averaging),
        "norm": number(Norm, "norm", norm),
        "unclamped": int(not clamped),
        "step_lr": step_lr,
    }
    return _run(score, shape, made, tables, options, None, seed, generator)


# ---- the probability-flow ODE -------------------------------------------------------------------


class Solution(NamedTuple):
    """What `solve_ode` gives; of each sample the integral of the divergence, with a probe."""

    x: Array
    divergence: npt.NDArray[np.float64] | None
    evaluations: int


def solve_ode(
    score: Network | ScoreAndProduct,
    x: npt.ArrayLike,
    config: Config = Config(),
    *,
    direction: Direction = "sampling",
    variable: Variable = "time",
    rtol: float = 1e-5,
    atol: float = 1e-5,
    max_evaluations: int = 0,
    probe: npt.ArrayLike | None = None,
) -> Solution:
    """The probability-flow ODE from a batch `x`, by scipy's RK45, with one step size for all.

    Sampling begins with noise times `config.sigma_max` and ends with a sample, which still has
    noise of the least sigma; encoding goes from data to the latent codes. With a `probe`, ±1 as
    `TorchCpu.rademacher` draws it, `score` gives the pair of score and product. `max_evaluations`
    of 0 is no limit.
    """
    state_x = taken(x, "x")
    if state_x.ndim == 0 or state_x.size == 0:
        raise ValueError(f"the shape must be (batch, ...), and not empty: {state_x.shape}")
    signs = np.zeros(0, np.float32)
    if probe is not None:
        signs = np.empty_like(state_x)
        take(probe, signs, "the probe")
    options = abi.OdeOptions(
        rtol=rtol, atol=atol, start=abi.GIVEN_SAMPLE, divergence=int(probe is not None),
        probe=int(probe is not None), max_evaluations=unsigned(max_evaluations, "max_evaluations"),
        variable=number(Variable, "variable", variable),
        direction=number(Direction, "direction", direction),
    )  # fmt: skip
    state, request, length = abi.Ode(), abi.OdeRequest(), ctypes.c_size_t()
    batch, numbers = ctypes.c_size_t(len(state_x)), ctypes.c_size_t(state_x.size)
    state_at, sde = ctypes.byref(state), config.struct()
    abi.call("ode_init", ctypes.byref(sde), batch, ctypes.byref(options), state_at)
    abi.call("ode_workspace_len", state_at, numbers, ctypes.byref(length))
    workspace = np.empty(length.value, np.float32)
    abi.call("ode_log_densities_len", state_at, ctypes.byref(length))
    densities = np.zeros(length.value)
    given, output, product = (np.empty_like(state_x) for _ in range(3))
    buffers = abi.OdeBuffers(
        sample=abi.pointer(state_x), input=abi.pointer(given), model_output=abi.pointer(output),
        len=state_x.size, product=abi.pointer(product), workspace=abi.pointer(workspace),
        probe=None if probe is None else abi.pointer(signs),
        log_densities=None if probe is None else abi.pointer(densities),
        log_densities_len=densities.size,
    )  # fmt: skip
    arguments = (state, buffers, request)
    turn = abi.bind("ode_next", *(ctypes.byref(argument) for argument in arguments))
    calls = 0
    while True:
        turn()
        if request.kind == DONE:
            integrals = None if probe is None else densities[: len(state_x)].copy()
            return Solution(state_x, integrals, calls)
        calls += 1
        answer: Any = score(given, request.sigma)
        if request.kind == SCORE_AND_PRODUCT:
            answer, second = answer
            take(second, product, "the product")
        take(answer, output)


def log_likelihood(
    config: Config, codes: npt.ArrayLike, divergence: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """The log-density of each sample of data, in nats: of what `solve_ode` encoded with a probe."""
    batch = taken(codes, "codes")
    integrals = np.asarray(divergence, np.float64)
    if integrals.ndim != 1 or integrals.shape != batch.shape[:1]:
        raise ValueError(f"codes of the shape {batch.shape} have {integrals.shape} divergences")
    densities = []
    for code, integral in zip(map(np.atleast_1d, batch), integrals):
        result = (ctypes.c_double * 3)()  # the log-density and its two parts
        sigma_max, size = ctypes.c_double(config.sigma_max), ctypes.c_size_t(code.size)
        by = ctypes.c_double(integral)
        abi.call("get_log_likelihood", sigma_max, abi.pointer(code), size, by, result)
        densities.append(result[0])
    return np.array(densities)


def bits_per_dim(
    log_density: npt.ArrayLike, dims: SupportsIndex, levels: float = 256.0, slope: float = 1.0
) -> npt.NDArray[np.float64]:
    """Bits per dimension of data of so many levels, which was scaled by `slope` from 0..1."""
    size = ctypes.c_size_t(unsigned(dims, "dims"))
    scale = ctypes.c_double(levels), ctypes.c_double(slope)
    function = abi.library().vesde_bits_per_dim
    densities = np.asarray(log_density, np.float64)
    bits = [function(ctypes.c_double(one), size, *scale) for one in densities.flat]
    return np.array(bits).reshape(densities.shape)
