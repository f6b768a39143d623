"""Jobs of the library by ctypes, around a network that Python runs: all samplers, and the ODE."""

import ctypes
from collections.abc import Callable

import numpy as np

import vesde

# What vesde.h's enums call them.
DONE, PRODUCT_TOO = 0, 3
SCORE, DENOISED = 0, 2
SAMPLING, ENCODING = 0, 1
GIVEN, PRODUCT = 1, 1
NO_PREDICTOR, NO_CORRECTOR = 3, 3
RESULT_DENOISED = 2
RHO = 7.0

# By the names that the examples' programs have for them: the method (of enum vesde_method), calls
# in a step, options. Where a step has two calls the last has one. The parts of pc are here alone.
SAMPLERS = {
    "pc": (0, 2, {}),
    "predictor": (0, 1, {"corrector": NO_CORRECTOR}),
    "corrector": (0, 1, {"predictor": NO_PREDICTOR, "result": RESULT_DENOISED}),
    "euler": (1, 1, {}),
    "euler-a": (1, 1, {"eta": 1.0}),
    "heun": (2, 2, {}),
    "edm": (2, 2, {"s_churn": 40.0, "s_tmin": 0.05, "s_tmax": 50.0, "s_noise": 1.003}),
    "dpm2": (3, 2, {}),
    "2s-a": (4, 2, {"eta": 1.0}),
    "2m": (5, 1, {}),
    "2m-sde": (5, 1, {"eta": 1.0}),
    "2m-sde, eta 0.5": (5, 1, {"eta": 0.5}),
    "3m": (8, 1, {}),
    "3m-sde": (8, 1, {"eta": 1.0}),
    "unipc2": (9, 1, {}),
    "unipc3": (10, 1, {}),
    "lms": (11, 1, {}),
    "ipndm": (12, 1, {}),
}

# Of a batch at a sigma: its score, or the denoised batch.
Network = Callable[[np.ndarray, float], np.ndarray]


def config_of(json_text: bytes) -> vesde.Config:
    config = vesde.Config()
    length = ctypes.c_size_t(len(json_text))
    vesde.call("config_from_json", json_text, length, ctypes.byref(config))
    return config


def schedule(
    config: vesde.Config, table: str | None, steps: int
) -> tuple[vesde.Scheduler, list[np.ndarray]]:
    """Of the SDE where there is no table, else of sigmas that end with 0; and what it points to."""
    size = ctypes.c_size_t(steps)
    if table is None:
        tables = [np.empty(steps, np.float32) for _ in range(3)]
        times, sigmas, discrete = (vesde.pointer(array) for array in tables)
        vesde.call("set_timesteps", ctypes.byref(config), size, times)
        vesde.call("set_sigmas", ctypes.byref(config), times, size, size, sigmas, discrete)
        return vesde.Scheduler(config, times, steps, sigmas, steps, discrete, steps), tables
    sigmas = np.zeros(steps + 1, np.float32)
    ends = ctypes.c_double(config.sigma_min), ctypes.c_double(config.sigma_max)
    shape = () if table == "geometric" else (ctypes.c_double(RHO),)
    vesde.call(f"set_{table}_sigmas", *ends, *shape, size, vesde.pointer(sigmas))
    return vesde.Scheduler(config, None, 0, vesde.pointer(sigmas), steps + 1, None, 0), [sigmas]


def sample(
    config: vesde.Config,
    network: Network,
    shape: tuple[int, int],
    name: str,
    table: str | None,
    calls: int,
    seed: int,
    prediction: int = SCORE,
) -> tuple[np.ndarray, int]:
    """A batch of samples by name, not clamped, and how many calls of the network there were.

    `prediction` says what the network gives, the score or the denoised batch.
    """
    method, per_step, options = SAMPLERS[name]
    is_pc = method == 0
    last = int(options.get("result") == RESULT_DENOISED)
    steps = (calls - last) // per_step if is_pc else -(-calls // per_step)
    scheduler, _alive = schedule(config, None if is_pc else table, steps)
    options = vesde.SamplerOptions(
        seed=seed, unclamped=1, method=method, prediction=SCORE if is_pc else prediction, **options
    )
    state, request, length = vesde.Sampler(), vesde.Request(), ctypes.c_size_t()
    batch, numbers = ctypes.c_size_t(shape[0]), ctypes.c_size_t(shape[0] * shape[1])
    state_at = ctypes.byref(state)
    vesde.call("sampler_init", ctypes.byref(config), batch, ctypes.byref(options), state_at)
    vesde.call("sampler_workspace_len", state_at, numbers, ctypes.byref(length))
    x, output = np.empty(shape, np.float32), np.empty(shape, np.float32)
    workspace = np.empty(length.value, np.float32)
    buffers = vesde.Buffers(
        sample=vesde.pointer(x), model_output=vesde.pointer(output), len=x.size,
        workspace=vesde.pointer(workspace), workspace_len=workspace.size,
    )  # fmt: skip
    arguments = (state, scheduler, buffers, request)
    turn = vesde.bind("sampler_next", *(ctypes.byref(argument) for argument in arguments))
    for count in range(calls + 1):
        turn()
        if request.kind == DONE:
            return x, count
        output[:] = network(x, request.sigma)
        if is_pc and prediction == DENOISED:
            output[:] = (output - x) / np.float32(request.sigma) ** 2
    raise SystemExit(f"{name} asks for more than {calls} calls")


def solve(
    config: vesde.Config,
    evaluate: Callable[[np.ndarray, float], np.ndarray | tuple[np.ndarray, np.ndarray]],
    x: np.ndarray,
    tolerance: float,
    probe: np.ndarray | None = None,
    **options: int,
) -> tuple[np.ndarray | None, int]:
    """The probability-flow ODE, in place: divergences where there is a probe, and the calls.

    `evaluate` gives the score, and with a probe the product of its Jacobian with that.
    """
    with_probe = {} if probe is None else {"divergence": PRODUCT, "probe": GIVEN}
    options = vesde.OdeOptions(rtol=tolerance, atol=tolerance, **with_probe, **options)
    state, request, length = vesde.Ode(), vesde.OdeRequest(), ctypes.c_size_t()
    batch, numbers = ctypes.c_size_t(len(x)), ctypes.c_size_t(x.size)
    state_at = ctypes.byref(state)
    vesde.call("ode_init", ctypes.byref(config), batch, ctypes.byref(options), state_at)
    vesde.call("ode_workspace_len", state_at, numbers, ctypes.byref(length))
    workspace = np.empty(length.value, np.float32)
    vesde.call("ode_log_densities_len", state_at, ctypes.byref(length))
    densities = np.zeros(max(length.value, 1))
    given, output, product = (np.empty_like(x) for _ in range(3))
    buffers = vesde.OdeBuffers(
        sample=vesde.pointer(x), input=vesde.pointer(given), model_output=vesde.pointer(output),
        len=x.size, product=vesde.pointer(product), workspace=vesde.pointer(workspace),
        log_densities=vesde.pointer(densities), log_densities_len=length.value,
        probe=None if probe is None else vesde.pointer(probe),
    )  # fmt: skip
    arguments = (state, buffers, request)
    turn = vesde.bind("ode_next", *(ctypes.byref(argument) for argument in arguments))
    calls = 0
    while True:
        turn()
        if request.kind == DONE:
            return None if probe is None else densities[: len(x)].copy(), calls
        calls += 1
        if request.kind == PRODUCT_TOO:
            output[:], product[:] = evaluate(given, request.sigma)
        else:
            output[:] = evaluate(given, request.sigma)


def bits_per_dim(config: vesde.Config, codes: np.ndarray, divergences: np.ndarray) -> np.ndarray:
    """Of data in 0..1 of 256 levels: what `solve` has encoded with a probe."""
    bits = []
    vesde.library().vesde_bits_per_dim.restype = ctypes.c_double
    for code, divergence in zip(codes, divergences):
        result = (ctypes.c_double * 3)()  # the log-density and its two parts
        size = ctypes.c_size_t(code.size)
        sigma_max, integral = ctypes.c_double(config.sigma_max), ctypes.c_double(divergence)
        vesde.call("get_log_likelihood", sigma_max, vesde.pointer(code), size, integral, result)
        levels, slope = ctypes.c_double(256), ctypes.c_double(1)
        density = ctypes.c_double(result[0])
        bits.append(vesde.library().vesde_bits_per_dim(density, size, levels, slope))
    return np.array(bits)
