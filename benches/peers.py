"""Times vesde beside diffusers, torch by hand, numba, SciPy and NumPy: the same shapes and buffers,
one process, one thread. Prints a Markdown table of medians of interleaved repetitions, with their
ratios to vesde's. Needs the package (pip install ./python); a peer that is not installed is left
out.

    python benches/peers.py > table.md
"""

import argparse
import ctypes
import datetime
import importlib
import os
import pathlib
import platform
import statistics
import sys
import time

# Before NumPy and torch are loaded, whose libraries read these once.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np

from vesde import abi
from vesde.abi import Counter, pointer

TIMESTEP, INDEX, SNR, SIGMA = 0.5, 500, 0.15, 0.5
STEPS = 1000


def optional(name):
    """The module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


torch, diffusers, numba = optional("torch"), optional("diffusers"), optional("numba")
scipy = optional("scipy.integrate") and optional("scipy")
if torch is None:
    diffusers = None
else:
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)


class Vesde:
    """The tables of a scheduler, and the best level of SIMD."""

    def __init__(self):
        config = abi.Config()
        abi.call("config_default", ctypes.byref(config))
        self.tables = [np.empty(STEPS, np.float32) for _ in range(3)]
        pointers = [pointer(table) for table in self.tables]
        size = ctypes.c_size_t(STEPS)
        abi.call("set_timesteps", ctypes.byref(config), size, pointers[0])
        abi.call("set_sigmas", ctypes.byref(config), pointers[0], size, size, *pointers[1:])
        self.scheduler = abi.Scheduler(config, *(field for p in pointers for field in (p, STEPS)))
        self.level = abi.library().vesde_simd_level()


# ---- what is timed -------------------------------------------------------------------------------


def aligned(length):
    """A float32 array on a cache line, which is where torch's are."""
    memory = np.empty(length + 16, np.float32)
    start = -memory.ctypes.data % 64 // 4
    return memory[start : start + length]


def jobs(ours, shape, large):
    """(operation, who, prepare, run) for everything that is timed at a shape. Everyone works on the
    same buffers."""
    length = int(np.prod(shape))
    sample, score, noise, prev, mean = buffers = [aligned(length) for _ in range(5)]
    for stream, buffer in enumerate(buffers):
        place = Counter(1, stream, 0)
        abi.call("counter_fill", place, ctypes.c_size_t(length), pointer(buffer))

    x, m, z, out, mu = (pointer(buffer) for buffer in buffers)
    mask = aligned(length)
    mask[:] = mean > 0
    n, one, exact, torch_norm = ctypes.c_size_t(length), ctypes.c_size_t(1), 0, abi.NORM_TORCH
    s = ctypes.byref(ours.scheduler)
    t, i = ctypes.byref(ctypes.c_float(TIMESTEP)), ctypes.byref(ctypes.c_int64(INDEX))
    place, batch_mean = Counter(42, 0, 0), 0
    made, given = abi.counter_noise(place), abi.given_noise(noise)
    kinds = {TORCH_NOISE: abi.TORCH_CPU, CUDA_NOISE: abi.TORCH_CUDA, NUMPY_NOISE: abi.NUMPY}
    grid = abi.grid_of_gpu("H200")
    generators = {what: abi.generator(kind, 42, grid) for what, kind in kinds.items()}

    for level in range(ours.level, -1, -1):
        who = f"vesde, {abi.LEVELS[level]}"

        def job(operation, *call, who=who, level=level):
            run = abi.bind(*call)
            run.buffers = buffers  # which must live as long as the structs that point to them
            return operation, who, abi.bind("limit_simd_level", level), run

        def predict(noise, mean=None):
            step = abi.Step(m, x, length, 1, noise, x, mean)
            return "step_pred", s, t, one, ctypes.byref(step)

        def correct(noise, norm, to):
            step = abi.Step(m, x, length, 1, noise, to)
            return "step_correct", s, batch_mean, norm, ctypes.byref(step)

        yield job(PRED, *predict(made))
        yield job(CORRECT, *correct(made, exact, out))
        yield job(CORRECT, *correct(made, exact, x), who=who + ", in place")
        if not large:
            yield job(NOISE, "counter_fill", place, n, z)
            for operation, generator in generators.items():
                yield job(operation, "randn", ctypes.byref(generator), one, n, z)
        if level == ours.level:
            yield job(PRED_GIVEN, *predict(given))
            yield job(CORRECT_GIVEN, *correct(given, exact, x))
            yield job(CORRECT_GIVEN, *correct(given, torch_norm, x), who=who + ", torch's norm")
            if not large:
                yield job(PRED_MEAN, *predict(given, mu))
        if not large:
            yield job(ADD, "add_noise", s, m, n, one, i, one, given, out)
            known = abi.Imputation(m, pointer(mask), length, x, length, given, SIGMA, x)
            yield job(IMPUTE, "impute", ctypes.byref(known))
            prepare, run = job(ODE, "limit_simd_level", level)[2], ode_step(ours.scheduler.config, length)
            yield ODE, who, prepare, run
        for operation, eta in ((MULTISTEP, 0), (MULTISTEP_SDE, 1)):
            prepare = abi.bind("limit_simd_level", level)
            yield operation, who, prepare, multistep(ours.scheduler.config, eta, sample, score, prev)

    if torch is not None:
        yield from torch_jobs([torch.from_numpy(b).view(1, *shape) for b in (*buffers, mask)], large)
    if numba is not None:
        yield from numba_jobs(buffers, large)
    if large:
        return
    if diffusers is not None:
        yield from diffusers_jobs(*(torch.from_numpy(b).view(1, *shape) for b in (sample, score, noise)))
    if scipy is not None:
        yield from scipy_jobs(sample, score)
    yield IMPUTE, "NumPy by hand", None, lambda: impute_by_hand(*buffers, mask)
    generator, legacy = np.random.default_rng(42), np.random.RandomState(42)
    yield NOISE, "NumPy Generator, f32", None, lambda: generator.standard_normal(dtype=np.float32, out=prev)
    for operation in (NOISE, NUMPY_NOISE):
        yield operation, "NumPy RandomState, f64", None, lambda: legacy.standard_normal(length)


DPMPP2M = 5
SIGMAS = np.float32([14.6, 11.1, 8.3, 6.2, 4.5, 3.3, 2.3, 1.6, 1.1, 0.0])


def multistep(config, eta, sample, score, history):
    """The call of `vesde_sampler_next` that makes a step in the middle of DPM++ 2M, or of 2M SDE
    with eta."""
    options, sampler, request = abi.SamplerOptions(method=DPMPP2M, eta=eta), abi.Sampler(), abi.Request()
    scheduler = abi.Scheduler(config, None, 0, pointer(SIGMAS), len(SIGMAS), None, 0)
    buffers = abi.Buffers(pointer(sample), pointer(score), sample.size, None, pointer(history), history.size)
    abi.call("sampler_init", ctypes.byref(config), ctypes.c_size_t(1), ctypes.byref(options), ctypes.byref(sampler))
    objects = sampler, scheduler, buffers, request
    advance = abi.bind("sampler_next", *(ctypes.byref(thing) for thing in objects))
    for _ in range(5):
        advance()
    middle = abi.Sampler.from_buffer_copy(sampler)

    def run():
        ctypes.memmove(ctypes.byref(sampler), ctypes.byref(middle), ctypes.sizeof(sampler))
        advance()

    run.buffers = objects, options, sample, score, history
    return run


def ode_step(config, length):
    """What `vesde_ode_next` does in a step that is accepted, six calls, without the network."""
    sample, score, evaluated, workspace = (aligned(count * length) for count in (1, 1, 1, 6))
    for stream, buffer in enumerate((sample, score)):
        abi.call("counter_fill", Counter(2, stream, 0), ctypes.c_size_t(length), pointer(buffer))
    options = abi.OdeOptions(atol=1e30, first_step=1e-7, start=abi.GIVEN_SAMPLE)
    buffers = abi.OdeBuffers(pointer(sample), pointer(evaluated), pointer(score), length)
    buffers.workspace = pointer(workspace)
    ode, request = abi.Ode(), abi.OdeRequest()
    abi.call("ode_init", ctypes.byref(config), ctypes.c_size_t(1), ctypes.byref(options), ctypes.byref(ode))
    advance = abi.bind("ode_next", ctypes.byref(ode), ctypes.byref(buffers), ctypes.byref(request))
    for _ in range(2):  # until the first derivative is there
        advance()
    begun = abi.Ode.from_buffer_copy(ode)

    def run():
        ctypes.memmove(ctypes.byref(ode), ctypes.byref(begun), ctypes.sizeof(ode))
        for _ in range(6):
            advance()

    run.buffers = sample, score, evaluated, workspace
    return run


def scipy_jobs(sample, score):
    """A step of SciPy's own solver, which is accepted: with a right side that is there already, and
    with one as score_sde's likelihood.py and sampling.py have it, of a score that is there already:
    f32 for the network, and back."""
    ready, factor = score.astype(np.float64), np.float32(-0.5)

    def right_side(t, y):
        y.astype(np.float32)
        return (factor * score).astype(np.float64)

    sides = {"SciPy RK45, right side ready": lambda t, y: ready, "SciPy RK45, score ready": right_side}
    for who, side in sides.items():
        start, step = sample.astype(np.float64), 1e-6
        solver = scipy.integrate.RK45(side, 0.0, start, 1e300, max_step=step, first_step=step, rtol=1e-5, atol=1e-5)
        yield ODE, who, None, solver.step


def impute_by_hand(sample, data, noise, known, unknown, mask):
    """The paper's formula, in place, into preallocated arrays."""
    np.multiply(noise, np.float32(SIGMA), out=known)
    np.add(data, known, out=known)
    np.multiply(known, mask, out=known)
    np.subtract(np.float32(1), mask, out=unknown)
    np.multiply(sample, unknown, out=sample)
    np.add(sample, known, out=sample)


PRED = "predictor, noise generated"
PRED_GIVEN = "predictor, noise given, in place"
PRED_MEAN = "predictor, noise given, with mean"
CORRECT = "corrector, noise generated"
CORRECT_GIVEN = "corrector, noise given"
ADD = "add_noise, noise given"
IMPUTE = "impute, noise given, in place"
ODE = "a step of the ODE (RK45), without the network"
MULTISTEP = "a step of DPM++ 2M"
MULTISTEP_SDE = "a step of DPM++ 2M SDE, noise generated"
NOISE = "noise alone"
TORCH_NOISE = "noise alone, torch's bits"
CUDA_NOISE = "noise alone, torch's on an H200"
NUMPY_NOISE = "noise alone, NumPy's legacy bits"
OPERATIONS = (PRED, PRED_GIVEN, PRED_MEAN, CORRECT, CORRECT_GIVEN, ADD, IMPUTE, ODE)
OPERATIONS += (MULTISTEP, MULTISTEP_SDE)
OPERATIONS += (NOISE, TORCH_NOISE, CUDA_NOISE, NUMPY_NOISE)


def torch_jobs(buffers, large):
    """What one writes by hand in torch to be fast: in place, into preallocated tensors, the factors
    known."""
    sample, score, noise, prev, mean, mask = buffers
    generator = torch.Generator().manual_seed(42)
    drift, diffusion = 0.09, 0.3

    def pred():
        sample.add_(score, alpha=drift).add_(noise, alpha=diffusion)

    def pred_with_mean():
        torch.add(sample, score, alpha=drift, out=mean)
        torch.add(mean, noise, alpha=diffusion, out=sample)

    def correct():
        ratio = SNR * torch.linalg.vector_norm(noise).item() / torch.linalg.vector_norm(score).item()
        step = 2 * ratio * ratio
        sample.add_(score, alpha=step).add_(noise, alpha=(2 * step) ** 0.5)

    def impute():
        torch.add(score, noise, alpha=SIGMA, out=prev).mul_(mask)
        sample.mul_(torch.sub(1.0, mask, out=mean)).add_(prev)

    def multistep(eta):
        """k-diffusion's formulas in torch, as its functions have them, but for the noise, which is
        torch's own."""
        t, t_next, h_last = (torch.tensor(value) for value in (-1.19, -0.83, 0.3))
        h = t_next - t
        r = h_last / h
        state = [mean]

        def step():
            denoised = sample + score * 10.8
            if eta:
                eta_h = eta * h
                x = t_next.neg().exp() / t.neg().exp() * (-eta_h).exp() * sample
                x = x + (-h - eta_h).expm1().neg() * denoised
                x = x + 0.5 * (-h - eta_h).expm1().neg() * (1 / r) * (denoised - state[0])
                noise.normal_(generator=generator)
                x = x + noise * t_next.neg().exp() * (-2 * eta_h).expm1().neg().sqrt()
            else:
                denoised_d = (1 + 1 / (2 * r)) * denoised - (1 / (2 * r)) * state[0]
                x = (t_next.neg().exp() / t.neg().exp()) * sample - (-h).expm1() * denoised_d
            state[0] = denoised
            return x

        return step

    def generated(step):
        def run():
            noise.normal_(generator=generator)
            step()

        return run

    who = "torch by hand"
    yield PRED, who, None, generated(pred)
    yield PRED_GIVEN, who, None, pred
    yield CORRECT, who, None, generated(correct)
    yield CORRECT_GIVEN, who, None, correct
    if not large:
        for operation, eta in ((MULTISTEP, 0), (MULTISTEP_SDE, 1)):
            yield operation, who + ", k-diffusion's formulas", None, multistep(eta)
        yield PRED_MEAN, who, None, pred_with_mean
        yield IMPUTE, who, None, impute
        yield ADD, who, None, lambda: torch.add(score, noise, alpha=3.67, out=prev)
        for operation in (NOISE, TORCH_NOISE):
            yield operation, "torch.randn", None, lambda: torch.randn(noise.shape, generator=generator)
        yield NOISE, "torch normal_, in place", None, lambda: noise.normal_(generator=generator)


def numba_jobs(buffers, large):
    """The loops that one writes in numba: fused, one pass. Called as numba is from Python, and as C
    functions through ctypes, which costs more and which is how vesde is called here."""
    sample, score, noise, _, mean = buffers
    drift, diffusion = np.float32(0.09), np.float32(0.3)

    @numba.njit
    def pred(x, m, z, drift, diffusion):
        for i in range(x.size):
            x[i] = x[i] + drift * m[i] + diffusion * z[i]

    @numba.njit
    def pred_with_mean(x, m, z, mean, drift, diffusion):
        for i in range(x.size):
            mean[i] = x[i] + drift * m[i]
            x[i] = mean[i] + diffusion * z[i]

    size, f32 = numba.types.intp, numba.types.float32
    array, carray = numba.types.CPointer(f32), numba.carray

    @numba.cfunc(numba.types.void(array, array, array, size, f32, f32))
    def c_pred(x, m, z, n, drift, diffusion):
        pred(carray(x, n), carray(m, n), carray(z, n), drift, diffusion)

    @numba.cfunc(numba.types.void(array, array, array, array, size, f32, f32))
    def c_pred_with_mean(x, m, z, mean, n, drift, diffusion):
        pred_with_mean(carray(x, n), carray(m, n), carray(z, n), carray(mean, n), drift, diffusion)

    x, m, z, mu = (buffer.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for buffer in (sample, score, noise, mean))
    c_floats = ctypes.c_float(drift), ctypes.c_float(diffusion)
    yield PRED_GIVEN, "numba", None, lambda: pred(sample, score, noise, drift, diffusion)
    yield PRED_GIVEN, "numba, from C", None, lambda: c_pred.ctypes(x, m, z, sample.size, *c_floats)
    if not large:
        yield PRED_MEAN, "numba", None, lambda: pred_with_mean(sample, score, noise, mean, drift, diffusion)
        yield PRED_MEAN, "numba, from C", None, lambda: c_pred_with_mean.ctypes(x, m, z, mu, sample.size, *c_floats)


def diffusers_jobs(sample, score, noise):
    scheduler = diffusers.ScoreSdeVeScheduler()
    scheduler.set_timesteps(STEPS)
    scheduler.set_sigmas(STEPS)
    generator, t, i = torch.Generator().manual_seed(42), torch.tensor(TIMESTEP), torch.tensor([INDEX])
    who = "diffusers"
    yield PRED, who, None, lambda: scheduler.step_pred(score, t, sample, generator=generator)
    yield CORRECT, who, None, lambda: scheduler.step_correct(score, sample, generator=generator)
    yield ADD, who, None, lambda: scheduler.add_noise(score, noise, i)


# ---- timing --------------------------------------------------------------------------------------


def measure(all_jobs, elements, seconds):
    """Nanoseconds an element of each (operation, who): the median over rounds that give every job
    its turn."""
    samples = {job[:2]: [] for job in all_jobs}
    calls = {}
    for operation, who, prepare, run in all_jobs:  # warm up, and find how many calls make 2 ms
        if prepare:
            prepare()
        run()
        start = time.perf_counter()
        run()
        calls[operation, who] = max(1, int(0.002 / (time.perf_counter() - start)))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(samples[all_jobs[0][:2]]) < 3:
        for operation, who, prepare, run in all_jobs:
            if prepare:
                prepare()
            run()  # so that nobody pays for what the job before left in caches and in the allocator
            count = calls[operation, who]
            start = time.perf_counter_ns()
            for _ in range(count):
                run()
            samples[operation, who].append((time.perf_counter_ns() - start) / (count * elements))
    return {key: statistics.median(times) for key, times in samples.items()}


def cpu_model():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=15, help="time for each shape (default 15)")
    parser.add_argument("--no-large", action="store_true", help="leave out the tensor of 64 M elements (1.3 GB)")
    arguments = parser.parse_args()
    ours = Vesde()
    shapes = [(4, 64, 64), (3, 256, 256), (3, 1024, 1024)]
    if not arguments.no_large:
        shapes.append((64, 1024, 1024))

    columns = []
    for shape in shapes:
        large = shape[0] == 64
        columns.append(measure(list(jobs(ours, shape, large)), int(np.prod(shape)), arguments.seconds))
        print("timed", *shape, file=sys.stderr)

    packages = [f"{p.__name__} {p.__version__}" for p in (torch, diffusers, numba, scipy, np) if p is not None]
    print(f"{datetime.date.today()}, {cpu_model()}, one thread, {', '.join(packages)}.")
    print("Nanoseconds an element, and in brackets the multiple of vesde's first row.\n")
    print("| |", " | ".join("×".join(map(str, shape)) for shape in shapes), "|")
    print("|---" * (len(shapes) + 1) + "|")
    for operation in OPERATIONS:
        keys = list(dict.fromkeys(key for column in columns for key in column if key[0] == operation))
        print(f"| **{operation}** |", " | " * (len(shapes) - 1), "|")
        for key in keys:
            cells = []
            for column in columns:
                first = column.get(keys[0])
                cells.append("" if key not in column else f"{column[key]:.3g} ({column[key] / first:.2g})")
            print(f"| {key[1]} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
