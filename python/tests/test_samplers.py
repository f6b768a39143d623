"""Samplers and the ODE on a Gaussian, whose score and solutions are known exactly."""

import copy
import math
import pickle
from typing import get_args

import numpy as np
import pytest

import vesde
from vesde import samplers

MEAN, SD = 0.4, 0.25
CONFIG = vesde.Config(sigma_max=50.0, snr=0.1)
SIGMAS = vesde.karras_sigmas(20, 0.01, 50.0)
METHODS = get_args(samplers.Method)[1:]


def denoise(x, sigma):
    return MEAN + (x - MEAN) * np.float32(SD**2 / (SD**2 + sigma**2))


def score(x, sigma):
    return (MEAN - x) / np.float32(SD**2 + sigma**2)


def epsilon(x, sigma):
    return -np.float32(sigma) * score(x, sigma)


def velocity(x, sigma):
    """D = x/(σ² + 1) − σ/√(σ² + 1)·v."""
    root = math.sqrt(sigma**2 + 1)
    return (x / np.float32(root**2) - denoise(x, sigma)) * np.float32(root / sigma)


def exact(start, sigma):
    """Where the probability flow ends: quantiles stay."""
    return MEAN + (start - MEAN) * SD / math.sqrt(SD**2 + sigma**2)


@pytest.mark.parametrize("method", METHODS)
def test_methods_follow_the_flow(method):
    z = vesde.counter_noise(1, shape=(64, 3, 5))
    start = MEAN + z * np.float32(math.sqrt(SD**2 + 50.0**2))
    errors = []
    for n in (40, 160):
        sigmas = vesde.karras_sigmas(n, 0.002, 50.0)
        x = vesde.sample(denoise, z.shape, sigmas, method=method, start=start)
        errors.append(np.abs(x - exact(start, 50.0)).max())
    assert errors[1] < 0.03
    assert errors[1] < 0.6 * errors[0]


@pytest.mark.parametrize("method", ["euler", "dpm2", "dpmpp2s", "dpmpp2m", "dpmpp3m"])
def test_noisy_methods_have_the_distribution(method):
    sigmas = vesde.karras_sigmas(60, 0.01, 50.0)
    x = vesde.sample(denoise, (100, 400), sigmas, method=method, eta=1.0, seed=3)
    assert abs(x.mean() - MEAN) < 0.01
    assert abs(x.std() - SD) < 0.03
    other = vesde.sample(denoise, (100, 400), sigmas, method=method, eta=1.0, seed=4)
    assert abs(np.corrcoef(x.ravel(), other.ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(
    ("prediction", "network"), [("score", score), ("epsilon", epsilon), ("v", velocity)]
)
def test_predictions_are_the_same_thing(prediction, network):
    x = vesde.sample(denoise, (7, 11), SIGMAS, seed=5)
    y = vesde.sample(network, (7, 11), SIGMAS, seed=5, prediction=prediction)
    assert np.abs(x - y).max() < 2e-4


def test_churn_and_range():
    edm = {"method": "heun", "s_churn": 40.0, "s_tmin": 0.05, "s_tmax": 50.0, "s_noise": 1.003}
    x = vesde.sample(denoise, (100, 400), SIGMAS, **edm)
    assert abs(x.mean() - MEAN) < 0.01
    assert abs(x.std() - SD) < 0.03
    assert not np.array_equal(x, vesde.sample(denoise, (100, 400), SIGMAS, method="heun"))
    x = vesde.sample(denoise, (100, 400), SIGMAS, denoised_range=(0.3, 0.5))
    assert x.min() >= np.float32(0.3)
    assert x.max() <= 0.5


def test_first_noise_is_the_generators():
    """One step to 0 of a network that gives x back."""
    seen = []

    def network(x, sigma):
        seen.append((x.copy(), sigma))
        return x

    for generator in (vesde.TorchCpu(8), vesde.TorchCuda(8, "T4"), vesde.Numpy(8)):
        z = pickle.loads(pickle.dumps(generator)).randn((2, 3))
        vesde.sample(network, (2, 3), [2.0, 0.0], generator=generator)
        assert np.array_equal(seen[-1][0], 2 * z)
        assert seen[-1][1] == 2.0
    several = [vesde.TorchCpu(1), vesde.TorchCpu(2)]
    vesde.sample(network, (2, 3), [2.0, 0.0], generator=several)
    parts = [vesde.TorchCpu(seed).randn(3) for seed in (1, 2)]
    assert np.array_equal(seen[-1][0], 2 * np.stack(parts))
    vesde.sample(network, (2, 3), [2.0, 0.0], seed=6)
    assert np.array_equal(seen[-1][0], 2 * vesde.counter_noise(6, shape=(2, 3)))
    start = np.arange(6.0).reshape(2, 3)
    vesde.sample(network, (2, 3), [2.0, 0.0], start=start)
    assert np.array_equal(seen[-1][0], start)


def test_counter_noise_by_either_way():
    options = {"method": "dpmpp2m", "eta": 1.0}
    x = vesde.sample(denoise, (3, 8), SIGMAS, seed=2, **options)
    y = vesde.sample(denoise, (3, 8), SIGMAS, generator=vesde.Counter(2), **options)
    assert np.array_equal(x, y)


def test_the_sde():
    sd = math.sqrt(SD**2 + 0.01**2)
    for options in ({}, {"norm": "torch", "generator": vesde.TorchCpu(1)}):
        x = vesde.sample_sde(score, (100, 400), 300, CONFIG, clamped=False, **options)
        assert abs(x.mean() - MEAN) < 0.01
        assert abs(x.std() - sd) < 0.02
    x = vesde.sample_sde(score, (100, 400), 300, CONFIG)
    assert x.min() == 0
    assert x.max() == 1
    x = vesde.sample_sde(
        score, (100, 400), 400, CONFIG, clamped=False, predictor="ancestral", corrector="none"
    )
    assert abs(x.std() - sd) < 0.03


def test_ode_there_and_back():
    z = vesde.Numpy(4).randn((5, 2, 6))
    x, divergence, calls = vesde.solve_ode(score, 50 * z, CONFIG)
    assert divergence is None
    assert 40 < calls < 250
    end = 0.01 * (50 / 0.01) ** 1e-5
    expected = MEAN + (50 * z - MEAN) * math.sqrt((SD**2 + end**2) / (SD**2 + 50.0**2))
    assert np.abs(x - expected).max() < 1e-4
    codes = vesde.solve_ode(score, x, CONFIG, direction="encoding", variable="sigma").x
    assert np.abs(codes - 50 * z).max() < 0.05


def test_likelihood_is_the_gaussians():
    data = MEAN + SD * vesde.Numpy(5).randn((6, 20))
    probe = vesde.TorchCpu(0).rademacher(data.shape)

    def both(x, sigma):
        return score(x, sigma), -probe / np.float32(SD**2 + sigma**2)

    codes, divergence, _ = vesde.solve_ode(both, data, CONFIG, direction="encoding", probe=probe)
    density = vesde.log_likelihood(CONFIG, codes, divergence)
    variance = SD**2 + 0.01**2
    expected = -0.5 * (
        ((data - MEAN) ** 2).sum(1) / variance + 20 * math.log(2 * math.pi * variance)
    )
    assert np.abs(density - expected).max() < 0.05
    bits = vesde.bits_per_dim(density, 20)
    assert np.allclose(bits, 8 - density / (20 * math.log(2)))


def test_tables():
    assert SIGMAS.shape == (21,)
    assert (SIGMAS[0], SIGMAS[-2], SIGMAS[-1]) == (50.0, np.float32(0.01), 0.0)
    steps = np.diff(SIGMAS[:-1].astype(float) ** (1 / 7))
    assert np.ptp(steps) < 1e-5
    ratios = np.diff(np.log(vesde.geometric_sigmas(9, 0.1, 10.0)[:-1]))
    assert np.ptp(ratios) < 1e-5


def test_config():
    text = '{"_class_name": "ScoreSdeVeScheduler", "sigma_max": 90, "correct_steps": 2}'
    assert vesde.Config.from_json(text) == vesde.Config(sigma_max=90.0, correct_steps=2)
    assert vesde.Config.from_json(bytearray(text.encode())) == vesde.Config.from_json(text)
    with pytest.raises(vesde.Error, match="JSON"):
        vesde.Config.from_json("[")
    with pytest.raises(TypeError):
        vesde.Config.from_json(2)
    for wrong in ({"sigma_max": 0.001}, {"snr": -1.0}, {"correct_steps": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            vesde.sample_sde(score, (1, 2), 3, vesde.Config(**wrong))


@pytest.mark.parametrize(
    ("error", "message", "shape", "options"),
    [
        (ValueError, "not empty", (0, 3), {}),
        (ValueError, "not empty", (), {}),
        (ValueError, "method must be one of", (1, 2), {"method": "euler_a"}),
        (ValueError, "sample_sde", (1, 2), {"method": "predictor_corrector"}),
        (ValueError, "prediction must be one of", (1, 2), {"prediction": "x0"}),
        (ValueError, "seed must be", (1, 2), {"seed": -3}),
        (ValueError, "1 generators for 2", (2, 2), {"generator": [vesde.TorchCpu(1)]}),
        (ValueError, "1 generators for 2", (2, 2), {"generator": iter([vesde.TorchCpu(1)])}),
        (ValueError, "1 generators for 2", (2, 2), {"generator": np.array([vesde.TorchCpu(1)])}),
        (ValueError, "0 generators for 2", (2, 2), {"generator": ()}),
        (TypeError, "one of vesde's", (2, 2), {"generator": [1, 2]}),
        (TypeError, None, (2, 2), {"generator": np.random.RandomState(1)}),
        (TypeError, None, (1, 2), {"start": np.ones((1, 2)) * 1j}),
        (ValueError, "order must be", (1, 2), {"method": "lms", "order": 2**32 + 3}),
        (ValueError, r"start has the shape \(2,\)", (1, 2), {"start": np.zeros(2)}),
        (vesde.Error, "option of the sampler", (1, 2), {"eta": -1.0}),
        (vesde.Error, "option of the sampler", (1, 2), {"method": "unipc2", "eta": 1.0}),
        (TypeError, None, (1, 2), {"eta": "much"}),
        (TypeError, "integer", (1, 2), {"seed": 1.5}),
    ],
)
def test_what_is_refused(error, message, shape, options):
    with pytest.raises(error, match=message):
        vesde.sample(denoise, shape, SIGMAS, **options)


def test_generators_in_any_container():
    pair = [vesde.TorchCpu(1), vesde.TorchCpu(2)]
    expected = vesde.sample(denoise, (2, 3), SIGMAS, eta=1.0, generator=copy.deepcopy(pair))
    for container in (tuple, iter, np.array):
        generator = container(copy.deepcopy(pair))
        x = vesde.sample(denoise, (2, 3), SIGMAS, eta=1.0, generator=generator)
        assert np.array_equal(x, expected)


def test_complex_numbers_are_not_cast():
    for call in (
        lambda z: vesde.sample(denoise, (1, 2), z),
        lambda z: vesde.solve_ode(score, z),
        lambda z: vesde.log_likelihood(vesde.Config(), z, np.zeros(2)),
    ):
        with pytest.raises(TypeError, match="complex"):
            call(np.array([1j, 0j]))


def test_log_likelihood_of_scalars():
    codes, integrals = np.array([1.0, 2.0, 3.0]), np.zeros(3)
    densities = vesde.log_likelihood(vesde.Config(), codes, integrals)
    columns = vesde.log_likelihood(vesde.Config(), codes[:, None], integrals)
    assert densities.shape == (3,) and np.array_equal(densities, columns)
    with pytest.raises(ValueError, match="codes of the shape"):
        vesde.log_likelihood(vesde.Config(), 1.0, 0.0)


@pytest.mark.parametrize("sigmas", [[], [1.0], [1.0, 2.0], [math.nan, 0.0], [[1.0, 0.0]]])
def test_tables_that_are_none(sigmas):
    with pytest.raises(ValueError):
        vesde.sample(denoise, (1, 2), sigmas)


def test_what_networks_may_give():
    for kind in (np.float16, np.float64):
        x = vesde.sample(lambda x, s: denoise(x, s).astype(kind), (2, 3), SIGMAS)
        assert np.abs(x - vesde.sample(denoise, (2, 3), SIGMAS)).max() < 0.01
    assert vesde.sample(lambda x, s: x.tolist(), (2, 3), SIGMAS).shape == (2, 3)
    for error, wrong in (
        (ValueError, lambda x, s: x[:1]),
        (ValueError, lambda x, s: 0.0),
        (TypeError, lambda x, s: x + 0j),
    ):
        with pytest.raises(error):
            vesde.sample(wrong, (2, 3), SIGMAS)
    with pytest.raises(ZeroDivisionError):
        vesde.sample(lambda x, s: 1 // 0, (2, 3), SIGMAS)


def test_errors_can_be_pickled():
    with pytest.raises(vesde.Error) as caught:
        vesde.karras_sigmas(5, 0.1, 1.0, rho=0.0)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.status) == (str(caught.value), -52)
