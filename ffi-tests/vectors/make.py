"""Writes golden.txt, the vectors that vesde is tested against: every number in it was computed by
diffusers' ScoreSdeVeScheduler, by torch's CPU generator, by NumPy's RandomState and by scipy's
solve_ivp, never by vesde. `make.py` writes the file, `make.py --check` compares a fresh run with
the file and exits 1 on a difference; both refuse other versions than those in requirements.txt."""

import os
import pathlib
import sys
from types import SimpleNamespace

from lines import array_line, f32, f64, fnv1a, pinned, u32, u64

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE / "golden.txt"
PINNED = pinned()
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from diffusers import ScoreSdeVePipeline, ScoreSdeVeScheduler
from scipy.integrate import solve_ivp

torch.set_num_threads(1)
torch.set_grad_enabled(False)
if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
    sys.exit("without AVX2 torch's randn calls libm, which gives other bits")


def cpu_vendor():
    """MKL's sqrt and exp give other last bits on other makers' processors, so the file says where
    it was made."""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("vendor_id"):
            return line.split()[-1]
    return "unknown"


# ---- writing -------------------------------------------------------------------------------------

MADE_ON = f"# torch {PINNED['torch']}, diffusers {PINNED['diffusers']}, numpy {PINNED['numpy']}, CPU "
HEADER = f"""\
# Golden vectors for vesde, made by make.py. Do not edit.
# A line is one array: CASE NAME TYPE COUNT WORD...; the words are the bits in hex,
# 8 digits for f32 and u32, 16 digits for f64 and u64. MKL's sqrt and exp, which torch calls for
# diffusion, noise_factor and discrete_sigmas, round differently on other makers' CPUs (by 1 ulp).
# rk45 is of scipy {PINNED['scipy']}.
"""
lines = []


def put(case, **arrays):
    """Writes the arrays of one case, in the order given."""
    for name, array in arrays.items():
        lines.append(array_line(case, name, array.numpy() if torch.is_tensor(array) else array))


def seeded(seed):
    return torch.Generator().manual_seed(seed)


# ---- what diffusers computes inside a step and does not return -----------------------------------


def draw(shape, generator):
    """The noise a step is about to draw from `generator`, which is left as it was."""
    copy = torch.Generator()
    copy.set_state(generator.get_state())
    return torch.randn(shape, generator=copy)


def diffusion_of(scheduler, timestep, batch):
    """The `diffusion` of step_pred, in its own words."""
    timestep = timestep * torch.ones(batch)
    timesteps = (timestep * (len(scheduler.timesteps) - 1)).long()
    sigma = scheduler.discrete_sigmas[timesteps]
    adjacent_sigma = scheduler.get_adjacent_sigma(timesteps, timestep)
    return ((sigma**2 - adjacent_sigma**2) ** 0.5).flatten()


def correction_of(scheduler, model_output, noise):
    """The norms, step size and noise factor of step_correct, in its own words."""
    grad_norms = torch.norm(model_output.reshape(model_output.shape[0], -1), dim=-1)
    noise_norms = torch.norm(noise.reshape(noise.shape[0], -1), dim=-1)
    step_size = (scheduler.config.snr * noise_norms.mean() / grad_norms.mean()) ** 2 * 2
    step_size = step_size * torch.ones(noise.shape[0])
    noise_factor = (step_size * 2) ** 0.5
    assert (step_size == step_size[0]).all() and (noise_factor == noise_factor[0]).all()
    return grad_norms, noise_norms, step_size[0], noise_factor[0]


class Recorder(ScoreSdeVeScheduler):
    """diffusers' scheduler, which also notes the step size, the noise factor and the diffusion of
    every step."""

    def record(self):
        self.step_sizes, self.noise_factors, self.diffusions = [], [], []
        return self

    def step_correct(self, model_output, sample, generator=None, **kwargs):
        _, _, step_size, noise_factor = correction_of(self, model_output, draw(sample.shape, generator))
        self.step_sizes.append(step_size)
        self.noise_factors.append(noise_factor)
        return super().step_correct(model_output, sample, generator=generator, **kwargs)

    def step_pred(self, model_output, timestep, sample, generator=None, **kwargs):
        self.diffusions.append(diffusion_of(self, timestep, 1)[0])
        return super().step_pred(model_output, timestep, sample, generator=generator, **kwargs)

    def recorded(self):
        return {
            "diffusion": torch.stack(self.diffusions),
            "noise_factor": torch.stack(self.noise_factors),
            "step_size": torch.stack(self.step_sizes),
        }


# ---- the cases -----------------------------------------------------------------------------------

DEFAULTS = (0.01, 1348.0, 1e-5)
SMALL = (0.01, 50.0, 1e-3)
WIDE = (0.002, 3000.5, 1e-4)
NARROW = (0.3, 7.25, 0.02)


def scheduler_of(n, sigma_min=0.01, sigma_max=1348.0, sampling_eps=1e-5, **kwargs):
    scheduler = ScoreSdeVeScheduler(n, sigma_min=sigma_min, sigma_max=sigma_max, sampling_eps=sampling_eps, **kwargs)
    scheduler.set_timesteps(n)
    scheduler.set_sigmas(n)
    return scheduler


def schedules():
    made = []

    def add(config, scheduler):
        made.append((config, scheduler, scheduler.timesteps))

    for n in (1, 2, 3, 10, 50, 200, 2000):
        add(DEFAULTS, scheduler_of(n))
    for n, config in ((17, SMALL), (100, WIDE), (33, NARROW)):
        add(config, scheduler_of(n, *config))

    # The same through the arguments that override the configuration.
    for n, config in ((25, SMALL), (64, WIDE), (1, NARROW)):
        sigma_min, sigma_max, sampling_eps = config
        scheduler = ScoreSdeVeScheduler()
        scheduler.set_timesteps(n, sampling_eps)
        scheduler.set_sigmas(n, sigma_min, sigma_max, sampling_eps)
        add(config, scheduler)

    # set_sigmas alone: sigmas runs along the timesteps of before, discrete_sigmas has the new
    # length.
    for old, new, config in ((50, 3, DEFAULTS), (20, 45, SMALL), (5, 1, WIDE)):
        scheduler = scheduler_of(old, *config)
        scheduler.set_sigmas(new)
        add(config, scheduler)

    for i, (config, scheduler, timesteps) in enumerate(made):
        put(
            f"schedule/{i:02}",
            config=f64(*config),
            n=u32(len(timesteps), len(scheduler.discrete_sigmas)),
            timesteps=timesteps,
            sigmas=scheduler.sigmas,
            discrete_sigmas=scheduler.discrete_sigmas,
        )


def timestep_at(scheduler, index):
    """The first of the scheduler's timesteps that step_pred takes to `index`."""
    indices = (scheduler.timesteps * (len(scheduler.timesteps) - 1)).long()
    return scheduler.timesteps[indices == index][0]


# Indices of the default 2000 noise levels where MKL's sqrt, and so torch's diffusion, is an ulp
# off, both on the path it takes on Intel's processors and on the other: found by search.
MISROUNDED = (453, 984, 1281, 1994)


def preds():
    big, mid, small = scheduler_of(2000), scheduler_of(50), scheduler_of(10)
    uneven = scheduler_of(20, *SMALL)
    uneven.set_sigmas(45)
    at = timestep_at
    several = torch.stack([at(big, i) for i in (1999, 1005, 1, 0, *MISROUNDED)])
    cases = [
        (big, big.timesteps[0], (1, 3, 8, 8)),
        (big, several, (len(several), 2, 3, 3)),
        (big, at(big, MISROUNDED[0]), (2, 3, 5, 7)),
        (mid, mid.timesteps[0], (3, 1, 4, 4)),
        (mid, mid.timesteps[25], (2, 3, 5, 7)),
        (mid, mid.timesteps[-1], (2, 3, 5, 7)),
        (mid, mid.timesteps[[49, 0, 7]], (3, 1, 4, 4)),
        (small, small.timesteps[0], (1, 1, 1, 1)),
        (small, small.timesteps[4], (1, 1, 1, 7)),
        (small, small.timesteps[-1], (5, 1, 3, 3)),
        (small, torch.tensor([0.0, 1.0, 0.5, 0.12345, 0.99999]), (5, 1, 3, 1)),
        (scheduler_of(1), torch.tensor(1.0), (1, 1, 1, 1)),
        (scheduler_of(2), torch.tensor([1.0, 1e-5]), (2, 3, 2, 2)),
        (scheduler_of(3), torch.tensor([1.0, 0.5, 1e-5]), (3, 1, 4, 4)),
        (scheduler_of(200), scheduler_of(200).timesteps[77], (1, 3, 8, 8)),
        (scheduler_of(100, *WIDE), torch.linspace(1, 0, 9), (9, 1, 5, 3)),
        (scheduler_of(33, *NARROW), torch.tensor(0.6180339), (4, 2, 3, 3)),
        (uneven, uneven.timesteps[[0, 3, 19]], (3, 1, 4, 4)),
    ]
    for i, (scheduler, timestep, shape) in enumerate(cases):
        content, seed = seeded(100 + i), 200 + i
        diffusion = diffusion_of(scheduler, timestep, shape[0])
        scale = diffusion[:, None, None, None]
        sample = torch.rand(shape, generator=content) + torch.randn(shape, generator=content) * scale
        model_output = torch.randn(shape, generator=content) / scale
        noise = draw(shape, seeded(seed))
        out = scheduler.step_pred(model_output, timestep, sample, generator=seeded(seed))
        assert torch.equal(out.prev_sample, out.prev_sample_mean + scale * noise)
        put(
            f"pred/{i:02}",
            schedule=u32(len(scheduler.timesteps)),
            discrete_sigmas=scheduler.discrete_sigmas,
            shape=u32(*shape),
            timestep=timestep,
            sample=sample,
            model_output=model_output,
            noise=noise,
            diffusion=diffusion,
            prev_sample=out.prev_sample,
            prev_sample_mean=out.prev_sample_mean,
        )


def corrects():
    # Shape, snr, magnitudes of the sample and the model output, seed. The seeds are such that
    # torch's order of summation shows: in a norm over n elements, the last n % 4 enter by fused
    # multiply-adds; the mean of 5 or more is not in order.
    cases = [
        ((1, 1, 1, 1), 0.15, 1.0, 1.0, 0),
        ((9, 1, 1, 1), 0.15, 1348.0, 1e-3, 20),
        ((2, 1, 1, 7), 0.15, 0.5, 20.0, 29),
        ((3, 1, 2, 4), 0.16, 30.0, 0.03, 0),
        ((4, 3, 3, 1), 0.15, 1.0, 100.0, 53),
        ((5, 1, 5, 5), 0.075, 300.0, 1.0 / 300.0, 801),
        ((2, 3, 5, 7), 0.15, 1.0, 1.0, 7),
        ((1, 3, 8, 8), 0.15, 1348.0, 1.0 / 1348.0, 0),
        ((6, 2, 2, 3), 0.5, 0.01, 100.0, 5),
        ((7, 1, 3, 3), 0.01, 10.0, 0.1, 84),
        ((8, 1, 4, 4), 0.15, 1e-4, 1e4, 0),
    ]
    for i, (shape, snr, sample_scale, output_scale, seed) in enumerate(cases):
        scheduler = scheduler_of(10, snr=snr)
        content, drawn = seeded(seed), 1000 + seed
        sample = torch.randn(shape, generator=content) * sample_scale
        model_output = torch.randn(shape, generator=content) * output_scale
        noise = draw(shape, seeded(drawn))
        grad_norms, noise_norms, step_size, noise_factor = correction_of(scheduler, model_output, noise)
        prev_sample_mean = sample + step_size * model_output
        prev_sample = scheduler.step_correct(model_output, sample, generator=seeded(drawn)).prev_sample
        assert torch.equal(prev_sample, prev_sample_mean + noise_factor * noise)
        put(
            f"correct/{i:02}",
            snr=f64(snr),
            shape=u32(*shape),
            sample=sample,
            model_output=model_output,
            noise=noise,
            grad_norms=grad_norms,
            noise_norms=noise_norms,
            step_size=step_size,
            noise_factor=noise_factor,
            prev_sample=prev_sample,
            prev_sample_mean=prev_sample_mean,
        )


def means():
    """The mean of one norm a sample, for batches of any size, from a formula that every language
    has; norms of one float."""
    counts = [*range(1, 66), 255, 256, 511, 575, 576, 577, 600, 608, 1000, 2047, 2048, 2049, 4097, 8191, 8192, 8200]
    counts += [16384, 32767, 32768, 65535, 131071, 131072, 262145, 2**20 - 3, 2**22 + 1, 2**24 - 1, 2**24]
    words = np.arange(max(counts), dtype=np.uint32) * np.uint32(2654435761)
    norms = torch.from_numpy((words >> 8).astype(np.float32) * np.float32(2**-20))
    put("mean/00", n=u32(*counts), mean=torch.stack([norms[:n].mean() for n in counts]))

    floats = f32(0, -0.0, 1, -3.5, 1e-30, -1e-30, 2e19, -2e19, 1e-45, 3e-39, 3.4e38, np.inf, -np.inf)
    put("norm_of_one/00", x=floats, norm=torch.norm(torch.from_numpy(floats).reshape(-1, 1), dim=-1))


def add_noises():
    cases = [
        (scheduler_of(1), (1, 1, 1, 1), [0]),
        (scheduler_of(10), (3, 1, 4, 4), [0, 9, 4]),
        (scheduler_of(50), (2, 3, 5, 5), [49, 0]),
        (scheduler_of(33, *NARROW), (5, 1, 3, 3), [32, 1, 16, 0, 7]),
        (scheduler_of(100, *WIDE), (1, 3, 5, 7), [77]),
    ]
    for i, (scheduler, shape, indices) in enumerate(cases):
        content = seeded(500 + i)
        original = torch.rand(shape, generator=content)
        noise = torch.randn(shape, generator=content)
        put(
            f"add_noise/{i:02}",
            discrete_sigmas=scheduler.discrete_sigmas,
            shape=u32(*shape),
            indices=u32(*indices),
            original_samples=original,
            noise=noise,
            noisy_samples=scheduler.add_noise(original, noise, torch.tensor(indices)),
        )


def randn_stream(seed, calls):
    generator = seeded(seed)
    return torch.cat([torch.randn(n, generator=generator) for n in calls])


def torch_randns():
    cases = [(42, [n]) for n in range(1, 41)]
    cases += [
        (0, [1, 2, 16, 3, 17, 15, 31, 1]),
        (42, [1, 2, 16, 3, 17, 15, 31, 1]),
        (42, [1] * 33),  # longer than one block, and still element by element
        (5, [16, 16, 32, 48, 64]),  # whole blocks only
        (2**32 + 5, [16, 16, 32, 48, 64]),  # the same stream: the upper half of the seed is dropped
        (2**32 - 1, [15, 15, 15, 16, 15]),
        (2**63 - 25, [3, 192, 192, 1, 105, 2]),
        (2**64 - 1, [7, 33, 7]),
        (1, [1, 200, 1, 17, 1, 1]),  # a cached value survives three calls of 16 or more
        (7, [623, 2]),  # around the 624 words of the generator
        (8, [624, 5, 16]),
        (9, [625, 15]),
        (1234, [7, 9, 768]),
    ]
    for i, (seed, calls) in enumerate(cases):
        put(f"torch_randn/{i:02}", seed=u64(seed), calls=u32(*calls), out=randn_stream(seed, calls))


def put_hashes(name, stream, cases):
    """Streams too long to be written down, as their hashes."""
    total = 0
    for i, (seed, calls) in enumerate(cases):
        out = np.asarray(stream(seed, calls)).astype("<f4")
        total += out.size
        put(
            f"{name}_hash/{i:02}",
            seed=u64(seed),
            calls=u32(*calls),
            count=u64(out.size),
            fnv1a=u64(fnv1a(out.tobytes())),
        )
    assert total >= 1_200_000


def torch_randn_hashes():
    rng = np.random.RandomState(0)
    cases = [
        (0, [500_000]),
        (42, [196_608, 3, 100_003, 196_608, 1]),
        (2**32 + 5, [65_537, 15, 65_551, 7, 131_072]),
        (2**63 + 1, rng.randint(1, 100, 400).tolist()),
        (31337, rng.randint(1, 2000, 150).tolist()),
    ]
    put_hashes("torch_randn", randn_stream, cases)


def numpy_stream(seed, calls):
    state = np.random.RandomState(seed)
    return np.concatenate([state.randn(n) for n in calls]).astype(np.float32)


def numpy_randns():
    cases = [(42, [n]) for n in (1, 2, 3, 16)]
    cases += [
        (0, [1, 2, 16, 3, 17, 15, 31, 1]),  # calls of odd lengths leave a cached normal
        (2**32 - 1, [7, 33, 7]),
        (7, [243, 1, 1, 244]),  # around the 624 words of the generator
    ]
    for i, (seed, calls) in enumerate(cases):
        put(f"numpy_randn/{i:02}", seed=u64(seed), calls=u32(*calls), out=numpy_stream(seed, calls))
    rng = np.random.RandomState(1)
    cases = [
        (0, [500_000]),
        (42, [196_608, 3, 100_003, 196_608, 1]),
        (2**32 - 5, [65_537, 15, 65_551, 7, 131_072]),
        (31337, rng.randint(1, 2000, 150).tolist()),
    ]
    put_hashes("numpy_randn", numpy_stream, cases)


def full_loop():
    """diffusers' own test_full_loop_no_noise, with the sums that its test file expects."""
    scheduler = Recorder(2000, snr=0.15, sigma_min=0.01, sigma_max=1348, sampling_eps=1e-5).record()
    scheduler.set_sigmas(3)
    scheduler.set_timesteps(3)
    b, c, h, w = 4, 3, 8, 8
    n = b * c * h * w
    initial = (torch.arange(n).reshape(c, h, w, b) / n).permute(3, 0, 1, 2)
    generator = torch.manual_seed(0)
    sample = initial
    for i, t in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[i]  # along the 2000 timesteps of the constructor, as in that test
        sample = scheduler.step_correct(sample * sigma / (sigma + 1), sample, generator=generator).prev_sample
        sample = scheduler.step_pred(sample * sigma / (sigma + 1), t, sample, generator=generator).prev_sample
    total, mean = sample.abs().sum().item(), sample.abs().mean().item()
    assert np.isclose(total, 14372758528.0) and np.isclose(mean, 18714530.0)
    put(
        "full_loop/00",
        sample=initial,
        sigmas=scheduler.sigmas[:3],
        timesteps=scheduler.timesteps,
        discrete_sigmas=scheduler.discrete_sigmas,
        final=sample,
        sum=f64(total),
        mean=f64(mean),
        **scheduler.recorded(),
    )


class Score(torch.nn.Module):
    """The exact score of data distributed as N(mu, s2), in the shape of a network."""

    def __init__(self, mu, s2):
        super().__init__()
        self.mu, self.s2, self.device = mu, s2, mu.device
        self.config = SimpleNamespace(sample_size=mu.shape[-1])

    def forward(self, x, sigma):
        denom = (sigma * sigma + self.s2)[:, None, None, None].expand(x.shape).contiguous()
        return SimpleNamespace(sample=(self.mu - x) / denom)


def loops():
    """The whole of ScoreSdeVePipeline, one generator for the initial sample and every step."""
    shape, s2 = (2, 3, 8, 8), torch.tensor(0.25)
    for steps, seed in ((50, 42), (200, 7), (1000, 2**32 + 1234)):
        mu = torch.rand(shape, generator=seeded(600 + steps))
        scheduler = Recorder().record()
        pipeline = ScoreSdeVePipeline(unet=Score(mu, s2), scheduler=scheduler)
        pipeline.set_progress_bar_config(disable=True)
        (images,) = pipeline(shape[0], steps, generator=seeded(seed), output_type="np", return_dict=False)
        final = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        put(
            f"loop/{steps:04}",
            seed=u64(seed),
            shape=u32(*shape),
            steps=u32(steps),
            mu=mu,
            s2=s2,
            final=final,
            picture=(final * 255).round().numpy().astype(np.uint32),
            **scheduler.recorded(),
        )


def gaussian_flow(sigma_min, sigma_max, variable, mu, s2):
    """The probability-flow ODE of N(mu, s2) as score_sde_pytorch hands it to scipy: state and
    derivative in f64, t, sigma, the score and its factor in f32. In sigma the factor is -sigma."""
    ratio = np.float64(np.float32(sigma_max / sigma_min))
    c = np.float32(np.sqrt(2 * (np.log(sigma_max) - np.log(sigma_min))))

    def derivative(u, y):
        if variable == T:
            sigma = np.float32(sigma_min) * np.float32(np.power(ratio, np.float64(np.float32(u))))
            g = sigma * c
            factor = -(g * g) * np.float32(0.5)
        else:
            sigma, factor = np.float32(u), np.float32(-u)
        score = (mu - y.astype(np.float32)) / (sigma * sigma + s2)
        return (factor * score).astype(np.float64)

    return derivative


T, SIGMA = range(2)
SAMPLE, ENCODE = range(2)


def rk45s():
    """scipy's RK45 on probability-flow ODEs. The state is `copies` times the arrays, one after the
    other."""
    small, wide = (0.01, 50.0, 1e-5), DEFAULTS
    # Limits, variable, direction, rtol, atol, floats, copies, then max_step and first_step, if not
    # scipy's own.
    cases = []
    for variable in (T, SIGMA):
        for direction in (SAMPLE, ENCODE):
            cases += [(small, variable, direction, 10.0**-k, 10.0**-k, 27, 1) for k in range(3, 7)]
            # Sampling in sigma, a state in f32 changes which tries are rejected: at 1e-6 above, at
            # 1e-5 in a wide range.
            tolerance = 1e-3 if (variable, direction) == (SIGMA, SAMPLE) else 1e-5
            cases += [(wide, variable, direction, tolerance, tolerance, 27, 1)]
    cases += [
        (small, T, SAMPLE, 1e-3, 1e-6, 27, 1),
        (small, T, ENCODE, 1e-6, 1e-3, 27, 1),
        (small, T, SAMPLE, 1e-4, 0.0, 27, 1),
        (SMALL, SIGMA, ENCODE, 1e-5, 1e-2, 27, 1),
        (NARROW, T, SAMPLE, 1e-5, 1e-5, 27, 1),
        (WIDE, T, ENCODE, 1e-4, 1e-4, 27, 1),
        (small, T, SAMPLE, 1e-4, 1e-4, 1, 1),
        (small, T, SAMPLE, 1e-4, 1e-4, 45, 200),  # more than one block of a sum
        (small, SIGMA, ENCODE, 1e-4, 1e-4, 33, 125),
        (small, T, SAMPLE, 1e-3, 1e-3, 27, 1, 0.05),
        (small, SIGMA, ENCODE, 1e-3, 1e-3, 27, 1, 4.0),
        (small, T, SAMPLE, 1e-5, 1e-5, 27, 1, np.inf, 1e-3),
        (small, T, ENCODE, 1e-5, 1e-5, 27, 1, np.inf, 0.5),  # far too long: rejected
        (small, SIGMA, SAMPLE, 1e-4, 1e-4, 27, 1, 4.0, 6.0),  # longer than max_step
    ]
    for i, (limits, variable, direction, rtol, atol, floats, copies, *steps) in enumerate(cases):
        sigma_min, sigma_max, eps = limits
        rng = np.random.RandomState(700 + i)
        mu = rng.rand(floats).astype(np.float32)
        s2 = (0.01 + 0.2 * rng.rand(floats)).astype(np.float32)
        z = rng.randn(floats).astype(np.float32)
        y = np.float32(sigma_max) * z if direction == SAMPLE else mu + np.sqrt(s2) * z
        ends = (1.0, eps) if variable == T else (sigma_max, sigma_min * (sigma_max / sigma_min) ** eps)
        ends = ends if direction == SAMPLE else ends[::-1]
        options = dict(zip(("max_step", "first_step"), steps))
        flow = gaussian_flow(sigma_min, sigma_max, variable, np.tile(mu, copies), np.tile(s2, copies))
        solved = solve_ivp(flow, ends, np.tile(y, copies), "RK45", rtol=rtol, atol=atol, **options)
        assert solved.success and (solved.t[0], solved.t[-1]) == ends
        begun, accepted = (1 if "first_step" in options else 2), len(solved.t) - 1
        result = solved.y[:, -1].astype(np.float32).reshape(copies, floats)
        assert (result == result[0]).all() and (solved.nfev - begun) % 6 == 0
        put(
            f"rk45/{i:02}",
            config=f64(*limits),
            variable=u32(variable),
            ends=f64(*ends),
            tolerances=f64(rtol, atol),
            max_step=f64(options.get("max_step", np.inf)),
            first_step=f64(options.get("first_step", 0)),
            copies=u32(copies),
            mu=mu,
            s2=s2,
            y=y,
            nfev=u32(solved.nfev),
            steps=u32(accepted, (solved.nfev - begun) // 6 - accepted),
            at=solved.t.astype(np.float32),
            result=result[0],
        )


def main():
    for cases in (
        schedules,
        preds,
        corrects,
        means,
        add_noises,
        torch_randns,
        torch_randn_hashes,
        numpy_randns,
        full_loop,
        loops,
        rk45s,
    ):
        cases()
    text = HEADER + MADE_ON + cpu_vendor() + "\n" + "".join(lines)
    if sys.argv[1:] == ["--check"]:
        check(text)
    elif sys.argv[1:]:
        sys.exit("usage: make.py [--check]")
    else:
        GOLDEN.write_text(text)


def check(text):
    """Exits 1, naming what differs, unless golden.txt is `text`."""
    old, new = GOLDEN.read_text(), text
    if old == new:
        return print("golden.txt is what diffusers computes")
    fresh = set(new.splitlines())
    for line in old.splitlines():
        if line not in fresh:
            print("differs:", line if line.startswith("#") else " ".join(line.split()[:4]))
    sys.exit("golden.txt is not what diffusers computes here")


main()
