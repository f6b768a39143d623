"""What "the same as diffusers" means, measured: diffusers' scheduler and vesde's side by side, on
the same inputs and seeds. Prints what differs, by how much and why, samples the digits with both,
writes their pictures beside each other, and exits 1 if a promise of docs/parity.md does not hold.

    pip install -r examples/parity/requirements.txt
    python examples/parity/parity.py
"""

import argparse
import os
import pathlib
import sys
import tempfile
import types

os.environ["HF_HUB_OFFLINE"] = "1"

import diffusers
import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image

import idioms
import vesde
import vesde.diffusers
from vesde import abi
from idioms import seeded

DIGITS = pathlib.Path(__file__).resolve().parent.parent / "digits"
sys.path.insert(0, str(DIGITS))
from network import CLASSES, ScoreNetwork

THEIRS, OURS = diffusers.ScoreSdeVeScheduler, vesde.diffusers.ScoreSdeVeScheduler
torch.set_grad_enabled(False)
torch.set_num_threads(1)
broken = []


def report(what, result, holds, why=""):
    """Prints a line; `holds` says whether it is what docs/parity.md promises."""
    print(f"  {what:<48} {result}" + (f"\n{'':51}{why}" if why else ""))
    if not holds:
        broken.append(what)
        print(f"{'':51}NOT AS PROMISED")


def ulps(a, b):
    """How many floats apart the elements are: 0 means the same bits. What is not finite is far from
    everything."""
    a, b = (np.asarray(x, np.float32) for x in (a, b))
    finite = np.isfinite(a) & np.isfinite(b)
    bits = [x.view(np.int32).astype(np.int64) for x in (a, b)]
    # Negative floats count downwards from -1, which is -0.
    first, second = (np.where(x < 0, -(x & 0x7FFFFFFF) - 1, x) for x in bits)
    return np.where(finite, np.abs(first - second), 2**32)


# ---- the assertions of diffusers' own tests (tests/schedulers/test_scheduler_score_sde_ve.py) ---


def sample_of(generator):
    return torch.rand((4, 3, 8, 8), generator=generator)


def survives_saving(scheduler_class, timestep, **config):
    """Steps of a scheduler and of one made from its saved configuration are identical."""
    made = scheduler_class(**config)
    with tempfile.TemporaryDirectory() as folder:
        made.save_config(folder)
        loaded = scheduler_class.from_pretrained(folder)
    sample = sample_of(seeded(1))
    outputs = [
        (
            one.step_pred(0.1 * sample, timestep, sample, generator=torch.manual_seed(0)).prev_sample,
            one.step_correct(0.1 * sample, sample, generator=torch.manual_seed(0)).prev_sample,
        )
        for one in (made, loaded)
    ]
    return all((a - b).abs().sum() < 1e-5 for a, b in zip(*outputs))


def test_timesteps(scheduler_class):
    return all(survives_saving(scheduler_class, 0, num_train_timesteps=n) for n in (10, 100, 1000))


def test_sigmas(scheduler_class):
    ranges = ((0.0001, 1), (0.001, 100), (0.01, 1000))
    return all(survives_saving(scheduler_class, 0, sigma_min=low, sigma_max=high) for low, high in ranges)


def test_time_indices(scheduler_class):
    return all(survives_saving(scheduler_class, t) for t in (0.1, 0.5, 0.75))


def test_full_loop_no_noise(scheduler_class):
    scheduler = scheduler_class(2000, snr=0.15, sigma_min=0.01, sigma_max=1348, sampling_eps=1e-5)
    scheduler.set_sigmas(3)
    scheduler.set_timesteps(3)
    sample = (torch.arange(768).reshape(3, 8, 8, 4) / 768).permute(3, 0, 1, 2)
    generator = torch.manual_seed(0)
    for i, t in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[i]
        for _ in range(scheduler.config.correct_steps):
            score = sample * sigma / (sigma + 1)
            sample = scheduler.step_correct(score, sample, generator=generator).prev_sample
        sample = scheduler.step_pred(sample * sigma / (sigma + 1), t, sample, generator=generator).prev_sample
    size = sample.abs()
    return np.isclose(size.sum().item(), 14372758528.0) and np.isclose(size.mean().item(), 18714530.0)


def test_step_shape(scheduler_class):
    scheduler, sample = scheduler_class(), sample_of(seeded(2))
    shapes = [
        scheduler.step_pred(0.1 * sample, t, sample, generator=torch.manual_seed(0)).prev_sample.shape for t in (0, 1)
    ]
    return shapes == [sample.shape] * 2


def diffusers_tests():
    print("\ndiffusers' own scheduler tests (diffusers, vesde)")
    for test in (test_timesteps, test_sigmas, test_time_indices, test_full_loop_no_noise, test_step_shape):
        results = [test(scheduler_class) for scheduler_class in (THEIRS, OURS)]
        words = ["passes" if result else "FAILS" for result in results]
        report(test.__name__, ", ".join(words), all(results))


# ---- tables -------------------------------------------------------------------------------------

CONFIGS = (
    {},
    {"sigma_min": 0.01, "sigma_max": 50.0, "sampling_eps": 1e-3},
    {"sigma_min": 0.002, "sigma_max": 3000.5, "sampling_eps": 1e-4},
    {"sigma_min": 0.3, "sigma_max": 7.25, "sampling_eps": 0.02},
)
LENGTHS = (1, 2, 3, 10, 50, 200, 2000)


def pair(n, config):
    """diffusers' scheduler and vesde's, for n steps."""
    both = [scheduler_class(**config) for scheduler_class in (THEIRS, OURS)]
    for one in both:
        one.set_timesteps(n)
        one.set_sigmas(n)
    return both


def tables():
    print(f"\ntables of {len(CONFIGS) * len(LENGTHS)} schedules, {LENGTHS[0]} to {LENGTHS[-1]} steps")
    pairs = [pair(n, config) for config in CONFIGS for n in LENGTHS]
    reasons = {
        "timesteps": (0, ""),
        "sigmas": (2, "torch's power in float32; vesde's is one in float64, rounded once"),
        "discrete_sigmas": (1, "torch's exponential is not always the nearest float; vesde's is"),
    }
    for name, (most, why) in reasons.items():
        apart = np.concatenate([ulps(getattr(a, name), getattr(b, name)) for a, b in pairs])
        differ = np.count_nonzero(apart)
        result = f"{differ} of {apart.size} differ" + (f", by {apart.max()} ulp at most" if differ else "")
        report(name, result, apart.max() <= most, why)


# ---- steps --------------------------------------------------------------------------------------


def with_their_tables(theirs):
    """vesde's scheduler on diffusers' tables, so that a step differs by what the step does."""
    ours = OURS(**{key: value for key, value in theirs.config.items() if not key.startswith("_")})
    ours.timesteps, ours.sigmas, ours.discrete_sigmas = theirs.timesteps, theirs.sigmas, theirs.discrete_sigmas
    return ours


def report_steps(what, distances):
    """`distances` to diffusers' steps: with torch's square roots, and with the nearest floats."""
    torchs, nearest = (np.count_nonzero(apart) for apart in zip(*distances))
    report(
        what,
        f"{nearest} of {len(distances)} steps differ where roots are the nearest floats",
        nearest == 0,
        f"{torchs} differ with torch's roots (MKL's), which are an ulp off now and then",
    )


def distances(theirs, ours, step):
    with idioms.NearestRoot():
        nearest = step(theirs)
    out = step(ours)
    return [max(map(np.max, map(ulps, a, out))) for a in (step(theirs), nearest)]


def steps():
    print("\nsteps, on the same tables, inputs and seeds")
    generator, shape, apart = seeded(3), (3, 3, 16, 16), []
    for config in CONFIGS:
        for n in (10, 200, 2000):
            theirs, _ = pair(n, config)
            ours = with_their_tables(theirs)
            for i in torch.randint(n, (40,), generator=generator).tolist():
                t, sigma = theirs.timesteps[i], theirs.discrete_sigmas[n - 1 - i]
                sample = torch.randn(shape, generator=generator) * sigma
                score = torch.randn(shape, generator=generator) / sigma

                def step(scheduler):
                    return scheduler.step_pred(score, t, sample, seeded(i), return_dict=False)

                apart.append(distances(theirs, ours, step))
    report_steps("step_pred", apart)

    apart = []
    for k in range(300):
        theirs = THEIRS(10, snr=0.05 + 0.001 * k)
        ours = with_their_tables(theirs)
        shape = (1 + k % 9, 3, 1 + k % 7, 1 + k % 11)
        sample = torch.randn(shape, generator=generator) * 10.0
        score = torch.randn(shape, generator=generator)

        def step(scheduler):
            return scheduler.step_correct(score, sample, seeded(k), return_dict=False)

        apart.append(distances(theirs, ours, step))
    report_steps("step_correct", apart)

    theirs, ours = pair(200, {})
    ours = with_their_tables(theirs)
    sample, noise = (torch.randn((200, 3, 8, 8), generator=generator) for _ in range(2))
    indices = torch.randperm(200, generator=generator)
    apart = ulps(*(one.add_noise(sample, noise, indices) for one in (theirs, ours)))
    report("add_noise", f"{np.count_nonzero(apart)} of {apart.size} values differ", not apart.any())
    adjacent = ulps(*(one.get_adjacent_sigma(indices, theirs.timesteps[indices]) for one in (theirs, ours)))
    report("get_adjacent_sigma", f"{np.count_nonzero(adjacent)} of {adjacent.size} values differ", not adjacent.any())


# ---- use ----------------------------------------------------------------------------------------


def use():
    print("\nwhat users do, with diffusers' class and with vesde's")
    differing = idioms.run_idioms(OURS)
    results, errors, limits = map(len, (idioms.IDIOMS, idioms.REFUSED, idioms.OUR_LIMITS))
    count = f"{len(differing)} of {results + errors + limits} differ"
    why = f"{results} have a result, {errors} are errors, {limits} are limits of vesde"
    report("idioms", count, not differing, "\n".join([why, *differing]))
    ends, faults = idioms.run_shapes(OURS, 1500)
    what = "calls with random shapes, strides and types"
    report(what, f"{len(faults)} of {ends.total()} differ", not faults, "\n".join(faults))
    for end, count in ends.most_common():
        print(f"    {end or 'otherwise':<46} {count}")


# ---- noise --------------------------------------------------------------------------------------


def kept_doubles():
    """The second normals of pairs, which generators keep in double."""
    kinds = {
        "torch": (seeded, lambda g: torch.randn(1, dtype=torch.float64, generator=g).item()),
        "NumPy": (np.random.RandomState, lambda g: g.randn()),
    }
    for what, (make, draw) in kinds.items():
        pairs = []
        for seed in range(1000):
            theirs, ours = make(seed), make(seed)
            draw(theirs)
            vesde.diffusers.randn((1,), ours)
            pairs.append((draw(theirs), draw(ours)))
        theirs, ours = np.array(pairs).T
        differ, furthest = np.count_nonzero(theirs != ours), np.abs(theirs - ours).max()
        result = f"{differ} of {len(pairs)} differ, by {furthest:.0e} at most"
        report(f"{what}'s second double of a pair", result, furthest < 1e-15, LAST_BIT)


LAST_BIT = "the last bit: vesde's logarithm, sine and cosine are not glibc's"


def gpus_generator(seed):
    """What torch.Generator("cuda") is on this machine's GPU, by vesde."""
    gpu = torch.cuda.get_device_properties(0)
    grid = gpu.multi_processor_count, gpu.max_threads_per_multi_processor
    return vesde.TorchCuda(seed, grid=grid)


def noise():
    print("\nnoise, calls of 1 to 50,000 elements one after the other, and what torch and NumPy draw behind them")
    calls = [1, 7, 16, 3, 33, 15, 1000, 1, 624, 50_000, 5, 31]
    kinds = {
        "torch.randn": (seeded, lambda g, shape: torch.randn(shape, generator=g)),
        "numpy.random.RandomState.randn": (
            np.random.RandomState,
            lambda g, shape: torch.from_numpy(g.randn(*shape).astype(np.float32)),
        ),
    }
    for what, (make, draw) in kinds.items():
        apart = []
        for seed in (0, 42, 2**32 - 1):
            theirs, ours = make(seed), make(seed)
            for n in calls:
                apart.append(ulps(draw(theirs, (1, n)), vesde.diffusers.randn((1, n), ours)))
            # the state was written back
            apart.append(ulps(draw(theirs, (1, 100)), draw(ours, (1, 100))))
        apart = np.concatenate([x.ravel() for x in apart])
        report(what, f"{np.count_nonzero(apart)} of {apart.size} values differ", not apart.any())
    kept_doubles()
    for what, make in (
        ("a list of generators", lambda: [seeded(seed) for seed in (1, 2, 3)]),
        ("the same generator twice in a list", lambda: [one for g in [seeded(1)] for one in (g, g, g)]),
        ("torch's default generator", lambda: torch.manual_seed(5) and None),
    ):
        shape = (3, 3, 5, 5)
        apart = ulps(randn_tensor(shape, generator=make()), vesde.diffusers.randn(shape, make()))
        report(what, f"{np.count_nonzero(apart)} of {apart.size} values differ", not apart.any())
    if torch.cuda.is_available():
        theirs, ours = torch.Generator("cuda").manual_seed(42), gpus_generator(42)
        apart = []
        for n in calls + [5_000_000]:
            on_gpu = torch.randn((1, n), generator=theirs, device="cuda").cpu()
            apart.append(ulps(on_gpu, vesde.diffusers.randn((1, n), ours)).ravel())
        apart = np.concatenate(apart)
        what = f"torch.randn on {torch.cuda.get_device_name()}"
        report(what, f"{np.count_nonzero(apart)} of {apart.size} values differ", not apart.any())
    else:
        print("  torch.randn on a GPU: there is none here")


# ---- whole loops --------------------------------------------------------------------------------


class Score(torch.nn.Module):
    """The exact score of data distributed as N(1/2, 1/100), in the shape of a network of diffusers:
    hardly a pixel is clamped."""

    device = torch.device("cpu")
    config = types.SimpleNamespace(sample_size=16)

    def forward(self, x, sigma):
        variance = (sigma * sigma + 0.01)[:, None, None, None].expand(x.shape).contiguous()
        return types.SimpleNamespace(sample=(0.5 - x) / variance)


def pipelines():
    print("\ndiffusers' ScoreSdeVePipeline with either scheduler, from the same seed")
    for count in (50, 200, 1000):
        images = []
        for scheduler_class in (THEIRS, OURS):
            pipeline = diffusers.ScoreSdeVePipeline(unet=Score(), scheduler=scheduler_class())
            pipeline.set_progress_bar_config(disable=True)
            images += pipeline(2, count, generator=seeded(count), output_type="np", return_dict=False)
        apart = np.abs(images[0] - images[1]).max()
        report(f"{count} steps", f"{apart:.1e} apart at most", apart < 1e-6)


# ---- a whole picture ----------------------------------------------------------------------------


def digits(scheduler, network, steps, generator, predictors, device="cpu"):
    """A hundred digits, as diffusers' pipeline samples, the predictor with a generator of its own:
    (100, 64) floats."""
    classes = torch.eye(CLASSES, device=device).repeat_interleave(10, dim=0)
    shape = (len(classes), 1, 8, 8)
    scheduler.set_timesteps(steps, device=device)
    scheduler.set_sigmas(steps)
    sample = (randn_tensor(shape, generator=generator) * scheduler.init_noise_sigma).to(device)

    def score(sample, sigma):
        sigmas = sigma * torch.ones(len(classes), 1, device=device)
        return network.score(sample.reshape(len(classes), -1), sigmas, classes).reshape(shape)

    for i, t in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[i]
        for _ in range(scheduler.config.correct_steps):
            sample = scheduler.step_correct(score(sample, sigma), sample, generator=generator).prev_sample
        output = scheduler.step_pred(score(sample, sigma), t, sample, generator=predictors)
        sample, mean = output.prev_sample, output.prev_sample_mean
    return mean.clamp(0, 1).reshape(len(classes), -1).cpu()


def grid(pixels):
    """The digits as a picture, ten in a row."""
    tiles = np.pad(pixels.reshape(10, 10, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return tiles.swapaxes(1, 2).reshape(100, 100).repeat(4, axis=0).repeat(4, axis=1)


def compare_pictures(theirs, ours, most, most_pixels, why):
    """Reports how far floats are apart, and how many pixels differ; returns the pixels."""
    apart = (theirs - ours).abs().max().item()
    report("floats", f"{apart:.1e} apart at most", apart < most, why)
    bytes_of = [np.round(x.numpy() * 255).astype(np.uint8) for x in (theirs, ours)]
    differ = np.count_nonzero(bytes_of[0] != bytes_of[1])
    report("8-bit pixels", f"{differ} of {bytes_of[0].size} differ", differ <= most_pixels)
    return bytes_of


def picture(path, seed, steps):
    print(f"\na hundred digits from seed {seed} in {steps} steps, as diffusers' pipeline samples them")
    network = ScoreNetwork.load(DIGITS / "weights.safetensors")
    config = THEIRS.load_config(DIGITS)
    theirs, ours = (
        digits(one.from_config(config), network, steps, generator, generator)
        for one, generator in ((THEIRS, seeded(seed)), (OURS, seeded(seed)))
    )
    bytes_of = compare_pictures(theirs, ours, 1e-5, 0, "the tables' last bits, and misrounded roots, as above")
    if torch.cuda.is_available():
        print("\nthe same by diffusers on the GPU and by vesde on the CPU, network and all")
        # Without a generator the predictor draws on the GPU, and all else on the CPU.
        ours = digits(OURS.from_config(config), network, steps, seeded(seed), gpus_generator(seed))
        torch.manual_seed(seed)
        theirs = digits(THEIRS.from_config(config), network.cuda(), steps, None, None, "cuda")
        compare_pictures(theirs, ours, 1e-4, 3, "the GPU adds products and squares in another order")
    left, right = map(grid, bytes_of)
    Image.fromarray(np.hstack([left, np.full((len(left), 8), 128, np.uint8), right])).save(path)
    print(f"  diffusers' on the left, vesde's on the right: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", default="parity.png", help="the picture to write (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="seed of the picture (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=200, help="noise scales of the picture (default: %(default)s)")
    arguments = parser.parse_args()
    level = abi.LEVELS[abi.library().vesde_simd_level()]
    print(f"vesde {vesde.__version__} ({level}) beside diffusers {diffusers.__version__} on torch {torch.__version__}")
    diffusers_tests()
    use()
    tables()
    steps()
    noise()
    pipelines()
    picture(arguments.output, arguments.seed, arguments.steps)
    if broken:
        sys.exit(f"\nnot as promised: {', '.join(broken)}")
    print("\nAll as promised.")


if __name__ == "__main__":
    main()
