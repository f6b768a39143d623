"""Writes samplers.txt, the trajectories of the few-call samplers, by their formulas in f64.

The formulas are those of k-diffusion's samplers and of the papers, written out here one sampler at
a time; weights that are integrals are integrated by quadrature, so that nothing is shared with the
recursions of the library. Where diffusers has a sampler, its scheduler runs the same job on the
same table, score and noise, and must end where the formulas do: CLASSES says how closely. Its end
is in the file too. k-diffusion 0.1.1's own functions, run once in f64 on six of the tables, ended
within 1e-14 of them: Euler, Heun and DPM-2 without and with churn (of which it draws every step's
noise, used or not), the three ancestral ones, 2M, 2M SDE of both kinds and 3M SDE with eta 0.4 and
1. What diffusers does otherwise is said at the cases.

`samplers.py` writes the file, `samplers.py --check` compares a fresh run with the file and exits 1
on a difference; both refuse other versions than those in requirements.txt.
"""

import math
import os
import pathlib
import sys
from unittest import mock

from lines import array_line, f32, f64, pinned, u32

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "samplers.txt"
PINNED = pinned()
os.environ["HF_HUB_OFFLINE"] = "1"

import diffusers
import numpy as np
import torch

torch.set_num_threads(1)
torch.set_grad_enabled(False)

# The scheduler of diffusers, and how far its end may be from the formulas' in units of max(1, |x|).
# Those of 1e-6 round the sample to f32 in each step; KDPM2 rounds its sigmas between two others to
# f32. The rest run in f64.
CLASSES = {
    "EDMEuler": 1e-6,
    "EulerDiscrete": 1e-6,
    "EulerAncestralDiscrete": 1e-6,
    "HeunDiscrete": 1e-12,
    "KDPM2Discrete": 1e-7,
    "KDPM2AncestralDiscrete": 1e-7,
    "DPMSolverSinglestep": 1e-12,
    "EDMDPMSolverMultistep": 1e-12,
    "DPMSolverMultistep": 1e-6,
    "UniPCMultistep": 1e-12,
    "LMSDiscrete": 1e-12,
    "IPNDM": 1e-12,
}

HEADER = f"""\
# Trajectories of the few-call samplers, by their formulas in f64, and the ends of diffusers
# {PINNED["diffusers"]} on torch {PINNED["torch"]}, made by samplers.py. Do not edit.
# A line is one array: CASE NAME TYPE COUNT WORD...; the words are the bits in hex, 8 digits for
# f32 and u32, 16 digits for f64 and u64.
#
# mixture: mus, logw, s2: the score is that of a mixture of Gaussians with these means, log weights
#   (not normalised) and one variance: (m - x)/(sigma*sigma + s2), m the mean of the means, weighted
#   by their posteriors. batch: samples in a batch. noise: draws, one after the other, each of a
#   batch; draw 0 has made the samples, draw 1 + i is that of step i.
#
# sampler: a job, run in f64 from a sample and a table that are f32.
# job: method, order, first, calls. method: 1 Euler, 2 Heun, 3 DPM-2, 4 DPM++ 2S, 5 DPM++ 2M
#   (midpoint), 6 2M with exact weights, 7 DPM++ 3M as published, 8 3M with the second difference at
#   full weight, 9 UniPC-2, 10 UniPC-3, 11 LMS, 12 iPNDM. order: that of 11 and 12, else 0. first:
#   the step that it starts at, without history. calls: evaluations of the score in all.
# options: eta, S_churn, S_tmin, S_tmax, S_noise (of EDM's algorithm 2; S_churn is shared among all
#   steps of the table), and the range to which the denoised samples are clamped.
# sigmas: the table, a step from each value to the next. sample: the sample before step `first`.
# after: numbers of steps done, counted from the table's first. x: the samples then, the last one
#   being the end.
# The rest are the ends of diffusers' schedulers, under the names of their classes.
"""
lines = []


def put(case, **arrays):
    lines.extend(array_line(case, name, array) for name, array in arrays.items())


# ---- the score -----------------------------------------------------------------------------------

BATCH, DIMS, MODES = 2, 6, 3
RNG = np.random.RandomState(18)
MUS = (RNG.uniform(-1, 1, (MODES, DIMS)) * 1.5).astype(np.float32)
LOGW = f32(0, -0.5, 0.25)
S2 = 0.04
NOISE = RNG.standard_normal((51, BATCH, DIMS)).astype(np.float32)


def denoised(x, sigma):
    """D(x, sigma) = x + sigma^2·score, the mean of the data given x, in f64."""
    v = sigma**2 + S2
    mus = MUS.astype(np.float64)
    logs = LOGW - ((x[:, None] - mus) ** 2).sum(-1) / (2 * v)
    weights = np.exp(logs - logs.max(-1, keepdims=True))
    mean = weights @ mus / weights.sum(-1, keepdims=True)
    return x + sigma**2 * (mean - x) / v


# ---- tables --------------------------------------------------------------------------------------


def geometric(low, high, n):
    return [high * (low / high) ** (i / (n - 1)) for i in range(n)]


def karras(low, high, n, rho=7):
    a, b = high ** (1 / rho), low ** (1 / rho)
    return [(a + i / (n - 1) * (b - a)) ** rho for i in range(n)]


def vp(n):
    """sqrt((1 - a)/a) of a variance-preserving model, a the product of 1 - beta."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    a = np.cumprod(1 - betas)[np.arange(1000, 0, -1000 // n) - 1]
    return np.sqrt((1 - a) / a).tolist()


BY_HAND = [40, 33, 20, 14, 11.5, 6, 3.4, 2.5, 1.1, 0.6, 0.42, 0.2, 0.08, 0.05]
TABLES = {
    "g10": geometric(0.02, 50, 10) + [0],
    "g20": geometric(0.01, 50, 20) + [0],
    "g50": geometric(0.01, 1348, 50) + [0],
    "g16n": geometric(0.05, 30, 17),
    "k10": karras(0.02, 80, 10) + [0],
    "k18": karras(0.002, 80, 18) + [0],
    "k25n": karras(0.02, 80, 26),
    "hand": BY_HAND + [0],
    "handn": BY_HAND,
    "vp20": vp(20) + [0],
}
TABLES = {name: f32(*table) for name, table in TABLES.items()}


# ---- one-step samplers, from sigmas[first] on: each yields the sample after every step -----------


def ancestral(sigma, down_to, eta):
    """k-diffusion's sigma_down and sigma_up."""
    up = eta * down_to * math.sqrt(1 - (down_to / sigma) ** 2)
    up = min(down_to, up)
    return math.sqrt(down_to**2 - up**2), up


def churned(job, i, x):
    """The sample and its sigma after EDM's churn."""
    s_churn, s_tmin, s_tmax, s_noise = job.churn
    sigma = job.sigmas[i]
    gamma = min(s_churn / (len(job.sigmas) - 1), math.sqrt(2) - 1)
    if not (s_tmin <= sigma <= s_tmax and gamma > 0):
        return x, sigma
    hat = sigma * (1 + gamma)
    return x + math.sqrt(hat**2 - sigma**2) * s_noise * job.noise(i), hat


def one_step(job, x):
    """Euler, Heun, DPM-2, DPM++ 2S, with churn or with eta."""
    for i in job.steps():
        x, sigma = churned(job, i, x)
        down_to = job.sigmas[i + 1]
        down, up = ancestral(sigma, down_to, job.eta)
        d = job.denoised(x, sigma)
        slope = (x - d) / sigma
        if down == 0 or job.method == EULER:
            x = x + slope * (down - sigma)
        elif job.method == HEUN:
            e = x + slope * (down - sigma)
            x = x + (slope + (e - job.denoised(e, down)) / down) / 2 * (down - sigma)
        elif job.method == DPM2:
            middle = math.exp((math.log(sigma) + math.log(down)) / 2)
            u = x + slope * (middle - sigma)
            x = x + (u - job.denoised(u, middle)) / middle * (down - sigma)
        else:
            h = math.log(sigma) - math.log(down)
            middle = sigma * math.exp(-h / 2)
            u = middle / sigma * x - math.expm1(-h / 2) * d
            x = down / sigma * x - math.expm1(-h) * job.denoised(u, middle)
        if up > 0:
            x = x + up * job.noise(i)
        yield x


# ---- exponential multistep samplers --------------------------------------------------------------

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(40)
POINTS, WEIGHTS = (POINTS + 1) / 2, WEIGHTS / 2


def lagrange(nodes, k, t):
    """The polynomial that is 1 at nodes[k] and 0 at the others, at t."""
    value = 1.0
    for j, node in enumerate(nodes):
        if j != k:
            value = value * (t - node) / (nodes[k] - node)
    return value


def exact_weights(nodes, h):
    """Of D at nodes in units of the step: integrals of h·exp(-h(1 - t))·L_k(t) from 0 to 1."""
    kernel = WEIGHTS * h * np.exp(-h * (1 - POINTS))
    return [float((kernel * lagrange(nodes, k, POINTS)).sum()) for k in range(len(nodes))]


def multistep(job, x):
    """DPM++ 2M, 3M and their SDEs; warm-up with the steps there are, the step to 0 ends at D."""
    history, lambdas = [], []
    for i in job.steps():
        sigma, down_to = job.sigmas[i], job.sigmas[i + 1]
        d = job.denoised(x, sigma)
        if down_to == 0:
            yield d
            return
        history, lambdas = [d, *history][:3], [-math.log(sigma), *lambdas][:3]
        h = math.log(sigma) - math.log(down_to)
        big = h + job.eta * h
        steps = [a - b for a, b in zip(lambdas, lambdas[1:])]
        x = math.exp(-big) * x
        if job.method in (DPMPP_2M_EXACT, DPMPP_3M):
            order = min(len(history), 2 if job.method == DPMPP_2M_EXACT else 3)
            weights = exact_weights([(at - lambdas[0]) / h for at in lambdas[:order]], big)
            x = x + sum(w * old for w, old in zip(weights, history))
        else:
            x = x - math.expm1(-big) * d
            phi = math.expm1(-big) / big + 1
            if job.method == DPMPP_2M and len(history) > 1:
                x = x - 0.5 * math.expm1(-big) * h / steps[0] * (d - history[1])
            elif job.method == DPMPP_3M_PUBLISHED and len(history) == 2:
                x = x + phi * h / steps[0] * (d - history[1])
            elif job.method == DPMPP_3M_PUBLISHED and len(history) == 3:
                r0, r1 = steps[0] / h, steps[1] / h
                near, far = (d - history[1]) / r0, (history[1] - history[2]) / r1
                first = near + r0 / (r0 + r1) * (near - far)
                second = (near - far) / (r0 + r1)
                x = x + phi * first - (phi / big - 0.5) * second
        if job.eta > 0:
            x = x + down_to * math.sqrt(-math.expm1(-2 * job.eta * h)) * job.noise(i)
        yield x


def unipc(job, x):
    """UniPC of the variant bh2. As published a step over two points, of the predictor or, the
    first step's, of the corrector, has weights of its own in the place of the exact ones."""
    p = 2 if job.method == UNIPC_2 else 3
    history, lambdas, last = [], [], None
    for i in job.steps():
        sigma, down_to = job.sigmas[i], job.sigmas[i + 1]
        d = job.denoised(x, sigma)
        if down_to == 0:
            yield d
            return
        if last is not None:
            sigma_last, order = last[1:]
            h = math.log(sigma_last) - math.log(sigma)
            if order == 1:
                weights = [-0.5 * math.expm1(-h)] * 2
            else:
                nodes = [1] + [(at - lambdas[0]) / h for at in lambdas[:order]]
                weights = exact_weights(nodes, h)
            x = sigma / sigma_last * last[0]
            x = x + sum(w * old for w, old in zip(weights, [d, *history]))
        history, lambdas = [d, *history][:3], [-math.log(sigma), *lambdas][:3]
        order = min(p, len(history))
        last = x, sigma, order
        h = math.log(sigma) - math.log(down_to)
        x = down_to / sigma * x
        if order == 2:
            x = x - math.expm1(-h) * (d + 0.5 * h / (lambdas[0] - lambdas[1]) * (d - history[1]))
        else:
            weights = exact_weights([(at - lambdas[0]) / h for at in lambdas[:order]], h)
            x = x + sum(w * old for w, old in zip(weights, history))
        yield x


# ---- Adams in sigma ------------------------------------------------------------------------------

ADAMS = ([1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24])


def adams(job, x):
    """LMS and iPNDM; warm-up with the steps there are."""
    history, sigmas = [], []
    for i in job.steps():
        sigma, down_to = job.sigmas[i], job.sigmas[i + 1]
        d = job.denoised(x, sigma)
        if down_to == 0:
            yield d
            return
        history = [(x - d) / sigma, *history][: job.order]
        sigmas = [sigma, *sigmas][: job.order]
        if job.method == LMS:
            at = sigma + (down_to - sigma) * POINTS
            over = range(len(sigmas))
            weights = [float((WEIGHTS * lagrange(sigmas, k, at)).sum()) for k in over]
        else:
            weights = ADAMS[len(history) - 1]
        x = x + (down_to - sigma) * sum(w * old for w, old in zip(weights, history))
        yield x


(EULER, HEUN, DPM2, DPMPP_2S, DPMPP_2M, DPMPP_2M_EXACT) = range(1, 7)
(DPMPP_3M_PUBLISHED, DPMPP_3M, UNIPC_2, UNIPC_3, LMS, IPNDM) = range(7, 13)
SAMPLERS = {
    **dict.fromkeys((EULER, HEUN, DPM2, DPMPP_2S), one_step),
    **dict.fromkeys((DPMPP_2M, DPMPP_2M_EXACT, DPMPP_3M_PUBLISHED, DPMPP_3M), multistep),
    **dict.fromkeys((UNIPC_2, UNIPC_3), unipc),
    **dict.fromkeys((LMS, IPNDM), adams),
}


NO_CHURN = (0, 0, np.inf, 1)
UNCLAMPED = (-np.inf, np.inf)


class Job:
    """A sampler on a table. Options are f32, as the library has them."""

    def __init__(self, method, table, order=0, first=0, eta=0, churn=NO_CHURN, clamp=UNCLAMPED):
        self.method, self.order, self.first, self.calls = method, order, first, 0
        self.options = f32(eta, *churn, *clamp)
        self.eta, *churn = self.options.astype(np.float64).tolist()
        self.churn, self.clamp = churn[:4], churn[4:]
        self.table, self.sigmas = TABLES[table], TABLES[table].astype(np.float64).tolist()

    def steps(self):
        return range(self.first, len(self.sigmas) - 1)

    def noise(self, step):
        return NOISE[1 + step].astype(np.float64)

    def denoised(self, x, sigma):
        self.calls += 1
        return np.clip(denoised(x, sigma), *self.clamp)

    def sample(self):
        """Noise of the first sigma; a start on the way has the mixture's first means in it."""
        noise = self.table[self.first] * NOISE[0]
        return noise + MUS[:BATCH] if self.first else noise

    def run(self):
        self.calls = 0
        return list(SAMPLERS[self.method](self, self.sample().astype(np.float64)))


# ---- diffusers -----------------------------------------------------------------------------------

# Those that run a variance-preserving model, whose sample is x/sqrt(1 + sigma^2).
SCALED = ("DPMSolverSinglestep", "DPMSolverMultistep", "UniPCMultistep", "IPNDM")
# Those that make two steps of one, with a call in each.
TWO_STAGE = ("HeunDiscrete", "KDPM2Discrete", "KDPM2AncestralDiscrete")


def halved(table):
    """A table with the middle of each step in it, in log sigma, but for a step to 0: a step of 2S
    is two of DPMSolverSinglestep's, which is given that table."""
    between = [math.sqrt(a * b) for a, b in zip(table, table[1:])]
    pairs = [[a, b] if b > 0 else [a] for a, b in zip(table, between)]
    return [sigma for pair in pairs for sigma in pair] + [table[-1]]


def scheduler_of(job, name, config):
    """A scheduler of diffusers at the job's first step, with the job's table, in f64."""
    kind = getattr(diffusers, f"{name}Scheduler")
    table = halved(job.sigmas) if name == "DPMSolverSinglestep" else job.sigmas
    positive = np.array(table[:-1])
    if name in TWO_STAGE:
        # They derive tables from that in whose place theirs is.
        kind = type(kind.__name__, (kind,), {"_convert_to_karras": lambda *_, **__: positive})
        config = {"use_karras_sigmas": True, **config}
    scheduler = kind(**config)
    scheduler.set_timesteps(len(table) - 1)
    if name not in TWO_STAGE:
        scheduler.sigmas = torch.tensor(table, dtype=torch.float64)
    for key in ("sigmas", "sigmas_interpol", "sigmas_up", "sigmas_down"):
        if hasattr(scheduler, key):
            setattr(scheduler, key, getattr(scheduler, key).double())
    if name == "IPNDM":
        scheduler.alphas = alpha_of(name, scheduler.sigmas)
        scheduler.betas = scheduler.sigmas * scheduler.alphas
    scheduler.set_begin_index(job.first * (2 if name in TWO_STAGE else 1))
    scheduler.is_scale_input_called = True
    return scheduler


def alpha_of(name, sigma):
    return 1 / (1 + sigma**2).sqrt() if name in SCALED else torch.ones_like(sigma)


def recorded(job, name, config):
    """Where a scheduler of diffusers ends: `name` is its class, without "Scheduler"."""
    scheduler = scheduler_of(job, name, config)
    module = sys.modules[getattr(diffusers, f"{name}Scheduler").__module__]
    index = scheduler.begin_index
    x = torch.from_numpy(job.sample()).double() * alpha_of(name, scheduler.sigmas[index])
    for call in range(job.calls):
        step = job.first + (call // 2 if name in (*TWO_STAGE, "DPMSolverSinglestep") else call)
        sigma, alpha = scheduler.sigmas[index], alpha_of(name, scheduler.sigmas[index])
        if name.startswith("KDPM2") and call % 2 == 1:
            sigma = scheduler.sigmas_interpol[index - ("Ancestral" in name)]
        clean, more = x / alpha, {}
        if name in ("EDMEuler", "EulerDiscrete"):
            # Churn is within the step, but the score is that of what it makes.
            more = dict(zip(("s_churn", "s_tmin", "s_tmax", "s_noise"), job.churn))
            clean, sigma = map(torch.as_tensor, churned(job, step, clean.numpy()))
        elif name == "LMSDiscrete":
            more = {"order": job.order}
        d = torch.from_numpy(denoised(clean.numpy(), float(sigma)))
        epsilon = (clean - d) / sigma
        if name == "EDMEuler":
            more["pred_original_sample"] = output = d
        elif name == "EDMDPMSolverMultistep":
            data = scheduler.config.sigma_data
            root = (sigma**2 + data**2).sqrt()
            output = (d - (data / root) ** 2 * clean) / (sigma * data / root)
        elif name == "IPNDM":
            output = (epsilon - x * scheduler.betas[index]) / alpha
        else:
            output = d if scheduler.config.prediction_type == "sample" else epsilon
        draw = torch.from_numpy(job.noise(step))
        with mock.patch.object(module, "randn_tensor", lambda *_, **__: draw, create=True):
            x = scheduler.step(output, scheduler.timesteps[0], x, **more).prev_sample.double()
        index = scheduler.step_index
    return (x / alpha_of(name, scheduler.sigmas[-1])).numpy()


# ---- the cases -----------------------------------------------------------------------------------

closest = dict.fromkeys(CLASSES, 0)


def case(name, job, *peers):
    """Writes a job; each of `peers` is the class and configuration of a scheduler that does it."""
    states = job.run()
    n = len(job.sigmas) - 1
    after = {*range(job.first + 1, job.first + 5), (job.first + n) // 2, n}
    after = sorted(k for k in after if job.first < k <= n)
    arrays = {
        "job": u32(job.method, job.order, job.first, job.calls),
        "options": job.options,
        "sigmas": job.table,
        "sample": job.sample(),
        "after": u32(*after),
        "x": np.stack([states[k - 1 - job.first] for k in after]).astype(np.float32),
    }
    for kind, config in peers:
        end = recorded(job, kind, config)
        off = float((np.abs(end - states[-1]) / np.maximum(1, np.abs(states[-1]))).max())
        closest[kind] = max(off, closest[kind])
        if not off <= CLASSES[kind]:
            sys.exit(f"{name}: {kind} ends {off:.1e} apart")
        arrays[kind] = end.astype(np.float32)
    put(f"sampler/{name}", **arrays)


CHURN = (4, 0.05, 50, 1.003)
ALL_CHURN = (2.5, 0, np.inf, 1)
# In tables so short that is sqrt(2) - 1 of each step.
MOST_CHURN = (40, 0.05, 50, 1.003)


def is_to_zero(table):
    return TABLES[table][-1] == 0


def one_steps():
    euler = [("EDMEuler", {}), ("EulerDiscrete", {"prediction_type": "sample"})]
    for table in TABLES:
        case(f"euler_{table}", Job(EULER, table), *euler)
    case("euler_start", Job(EULER, "k18", first=7), *euler)
    case("euler_churn", Job(EULER, "k18", churn=CHURN), *euler)
    case("euler_churn_all", Job(EULER, "g10", churn=ALL_CHURN), *euler)
    case("euler_churn_mid", Job(EULER, "k18", churn=CHURN, first=4), *euler)
    case("euler_clamp", Job(EULER, "g10", clamp=(-0.5, 0.75)))

    for table in ("g10", "g50", "g16n", "k18", "k25n", "hand", "handn", "vp20"):
        job = Job(EULER, table, eta=1)
        case(f"euler_a_{table}", job, ("EulerAncestralDiscrete", {}))
    for table in ("g10", "handn", "vp20"):
        case(f"euler_a.4_{table}", Job(EULER, table, eta=0.4))
    job = Job(EULER, "vp20", eta=1, first=6)
    case("euler_a_start", job, ("EulerAncestralDiscrete", {}))

    for table in ("g10", "g20", "k18", "hand", "vp20"):
        case(f"heun_{table}", Job(HEUN, table), ("HeunDiscrete", {}))
        case(f"dpm2_{table}", Job(DPM2, table), ("KDPM2Discrete", {}))
    for table in ("g16n", "handn"):
        case(f"heun_{table}", Job(HEUN, table))
        case(f"dpm2_{table}", Job(DPM2, table))
    case("heun_start", Job(HEUN, "k18", first=7), ("HeunDiscrete", {}))
    case("dpm2_start", Job(DPM2, "k18", first=7), ("KDPM2Discrete", {}))
    for table in ("k18", "g20", "hand", "k25n"):
        case(f"heun_churn_{table}", Job(HEUN, table, churn=CHURN))
    case("heun_churn_all", Job(HEUN, "k10", churn=ALL_CHURN))
    case("heun_churn_most", Job(HEUN, "k18", churn=MOST_CHURN))
    case("dpm2_churn", Job(DPM2, "k18", churn=CHURN))
    clip = {"clip_sample": True, "clip_sample_range": 0.75}
    case("heun_clamp", Job(HEUN, "g10", clamp=(-0.75, 0.75)), ("HeunDiscrete", clip))
    case("heun_a.5", Job(HEUN, "g10", eta=0.5))
    for table in ("g10", "k18"):
        case(f"dpm2_a_{table}", Job(DPM2, table, eta=1), ("KDPM2AncestralDiscrete", {}))
    case("dpm2_a.4", Job(DPM2, "hand", eta=0.4))

    for table in ("g10", "k18", "handn", "vp20"):
        zero = {"final_sigmas_type": "zero" if is_to_zero(table) else "sigma_min"}
        config = {"lower_order_final": is_to_zero(table), "prediction_type": "sample", **zero}
        case(f"2s_{table}", Job(DPMPP_2S, table), ("DPMSolverSinglestep", config))
        case(f"2s_a_{table}", Job(DPMPP_2S, table, eta=1))
    case("2s_a.4", Job(DPMPP_2S, "g16n", eta=0.4))
    case("2s_a_start", Job(DPMPP_2S, "k18", eta=1, first=5))


def multisteps():
    def peers(order, table, **config):
        zero = {"final_sigmas_type": "zero" if is_to_zero(table) else "sigma_min"}
        config = {"solver_order": order, "lower_order_final": False, **zero, **config}
        vp_config = {"prediction_type": "sample", **config}
        return ("EDMDPMSolverMultistep", config), ("DPMSolverMultistep", vp_config)

    sde, exact = {"algorithm_type": "sde-dpmsolver++"}, {"solver_type": "heun"}
    for table in ("g10", "g20", "g50", "g16n", "k18", "k25n", "hand", "handn", "vp20"):
        case(f"2m_{table}", Job(DPMPP_2M, table), *peers(2, table))
        case(f"2m_sde_{table}", Job(DPMPP_2M, table, eta=1), *peers(2, table, **sde))
    case("2m_start", Job(DPMPP_2M, "vp20", first=6), *peers(2, "vp20"))
    case("2m_sde_start", Job(DPMPP_2M, "k18", eta=1, first=7), *peers(2, "k18", **sde))
    case("2m_clamp", Job(DPMPP_2M, "k10", clamp=(-0.75, 0.75)))
    for table in ("g10", "k18", "hand", "handn"):
        case(f"2me_{table}", Job(DPMPP_2M_EXACT, table), *peers(2, table, **exact))
    for table in ("g10", "k18", "handn"):
        case(f"2m_sde.5_{table}", Job(DPMPP_2M, table, eta=0.5))
        both = peers(2, table, **exact, **sde)
        case(f"2me_sde_{table}", Job(DPMPP_2M_EXACT, table, eta=1), *both)
    case("2me_sde.5", Job(DPMPP_2M_EXACT, "k18", eta=0.5))

    for table in ("g10", "g20", "k18", "hand", "handn", "vp20"):
        # As published the second step is one of 2M with exact weights.
        both = peers(3, table, **exact)
        case(f"3mp_{table}", Job(DPMPP_3M_PUBLISHED, table), *both)
    for table in ("g10", "k18", "handn"):
        # DPMSolverMultistep's takes half the second difference off where the formula adds it, and
        # so is another sampler.
        case(f"3mp_sde_{table}", Job(DPMPP_3M_PUBLISHED, table, eta=1))
        case(f"3m_sde_{table}", Job(DPMPP_3M, table, eta=1))
    case("3mp_sde.5", Job(DPMPP_3M_PUBLISHED, "g20", eta=0.5))
    case("3m_sde.5", Job(DPMPP_3M, "g20", eta=0.5))
    for table in ("g10", "g20", "k18", "hand", "handn", "vp20", "g50"):
        case(f"3m_{table}", Job(DPMPP_3M, table))
    case("3m_start", Job(DPMPP_3M, "k18", first=6))


def predictor_correctors():
    def peer(order, table):
        last = {"final_sigmas_type": "zero" if is_to_zero(table) else "sigma_min"}
        config = {"lower_order_final": is_to_zero(table), "prediction_type": "sample", **last}
        return "UniPCMultistep", {"solver_order": order, **config}

    for table in ("g10", "g20", "k18", "hand", "handn", "vp20", "g50"):
        case(f"unipc2_{table}", Job(UNIPC_2, table), peer(2, table))
    case("unipc2_start", Job(UNIPC_2, "vp20", first=5), peer(2, "vp20"))
    case("unipc2_clamp", Job(UNIPC_2, "g10", clamp=(-0.75, 0.75)))
    # Before the step to 0 diffusers lowers the order to 2, where ours and k-diffusion's stay.
    for table in ("g10", "k18", "hand", "vp20"):
        case(f"unipc3_{table}", Job(UNIPC_3, table))
    for table in ("g16n", "k25n", "handn"):
        case(f"unipc3_{table}", Job(UNIPC_3, table), peer(3, table))
    case("unipc3_start", Job(UNIPC_3, "k25n", first=9), peer(3, "k25n"))


def adamses():
    # In diffusers a step to 0 is of full order; its LMS has no start on the way, its iPNDM is of
    # order 4 only.
    for order in (1, 2, 3, 4):
        for table in ("g10", "k18", "hand", "g16n", "handn"):
            peer = [] if is_to_zero(table) else [("LMSDiscrete", {})]
            case(f"lms{order}_{table}", Job(LMS, table, order=order), *peer)
        for table in ("g10", "k18", "handn"):
            peer = [] if is_to_zero(table) or order < 4 else [("IPNDM", {})]
            case(f"ipndm{order}_{table}", Job(IPNDM, table, order=order), *peer)
    case("lms4_start", Job(LMS, "k18", order=4, first=7))
    case("ipndm4_start", Job(IPNDM, "k25n", order=4, first=7), ("IPNDM", {}))


def main():
    put("mixture/0", mus=MUS, logw=LOGW, s2=f64(S2), batch=u32(BATCH), noise=NOISE)
    one_steps()
    multisteps()
    predictor_correctors()
    adamses()
    for name, off in closest.items():
        print(f"{name}: at most {off:.1e} apart, of {CLASSES[name]:.0e}")
    text = HEADER + "".join(lines)
    if sys.argv[1:] == ["--check"]:
        check(text)
    elif sys.argv[1:]:
        sys.exit("usage: samplers.py [--check]")
    else:
        OUT.write_text(text)


def differs(old, new):
    """Whether two lines are apart by more than another libm may round."""
    old, new = old.split(), new.split()
    if old[:4] != new[:4] or old[0] == "#" or old[2] != "f32":
        return old != new
    words = [np.array([int(word, 16) for word in line[4:]], np.uint32) for line in (old, new)]
    a, b = (bits.view(np.float32).astype(np.float64) for bits in words)
    return not np.allclose(a, b, rtol=1e-6, atol=1e-6)


def check(text):
    """Exits 1, naming what differs, unless samplers.txt is `text`, but for last bits of floats."""
    old, new = OUT.read_text().splitlines(), text.splitlines()
    apart = [" ".join(a.split()[:4]) for a, b in zip(old, new) if differs(a, b)]
    if apart or len(old) != len(new):
        sys.exit("\n".join(["samplers.txt is not what is computed here", *apart]))
    print("samplers.txt is what the formulas give")


if __name__ == "__main__":
    main()
