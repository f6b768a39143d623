"""Writes paper.txt, what the code of Song et al. 2021 computes, from an npz file of its arrays.

`paper.py FILE.npz` writes the lines to paper.txt, `paper.py FILE.npz OUT` to another file, so that
other vectors of the same kinds can be tested as well. An array of the npz is called
`<item>__<array>`; `<item>_<i>__<array>` belongs to the i-th tolerance of the item. Left out is what
a test can compute itself; what is assumed of such an array is checked here.
"""

import pathlib
import re
import sys

import numpy as np

from lines import TYPES, array_line, f32, fnv1a, u32, u64

HERE = pathlib.Path(__file__).resolve().parent
HEADER = """\
# What the code of Song et al. 2021 computes, made by paper.py from recorded arrays. Do not edit.
# A line is one array: CASE NAME TYPE COUNT WORD...; the words are the bits in hex, 8 digits for
# f32 and u32, 16 digits for f64 and u64. Shapes are [batch, channel, row, column] if not said.
#
# Where it comes from: score_sde_pytorch cb1f359 on torch 2.15.0 (an Intel CPU, one thread), with
# scipy 1.17.1 for ode and lik; ncsnv2 for ncsn; score_sde 0acb9e0 on JAX 0.10.2, op by op, for
# jaxcond and jaxem. Tables, sigmas and noise are the original's own.
#
# In many cases:
# sigma_min, sigma_max, eps, snr, n_steps: the configuration; eps is the last timestep, n_steps the
#   number of corrector steps a timestep. n: number of timesteps and of discrete sigmas.
# shape: of the batch. seed: of torch.manual_seed before the run. tols: tolerances, rtol = atol; an
#   array NAME_i belongs to the i-th.
# mu, s2: the score is (mu - x)/(sigma*sigma + s2), every operation in f32, [channel, row, column].
# mus, logw, s2: the score of a mixture of Gaussians with these means, log weights (not normalised)
#   and one variance (f64). classes: the score is that of the digits network, for these classes.
# sigma: sigma(t) at each timestep, or of each sample: what the network was given.
# predictor: 0 reverse_diffusion, 1 euler_maruyama, 2 ancestral_sampling, 3 none.
# corrector: 0 langevin, 1 ald, 2 none. probe_kind: 0 Rademacher, 1 Gaussian.
# out, out_noisy: the result with denoise=True and False; out_noisy is left out where it is out.
# NAME_fnv1a: the 64-bit FNV-1a hash of the bytes of an array that follows from the seed.
#
# Draws that follow from the seed: the prior first, then those of the steps, each one torch.randn of
# the batch. But in col with more than one sample every draw after the prior is channels-last: its
# numbers lie in the order [batch, row, column, channel], and are those of torch.randn of one
# element each. The hash is that of all draws in order, each [batch, channel, row, column].
#
# cont: t arguments; sigma marginal_prob's std; g sde.sde's diffusion; G that of sde.discretize;
#   index trunc(t*(n-1)); discrete_sigma, adjacent_sigma those at the index; timesteps_fnv1a (n of
#   them, eps 1e-5); prior_z, prior_logp the argument of prior_logp (three samples) and its value.
# steps: single updates of x, a t for each sample, the score being that of mu and s2. em
#   Euler-Maruyama, rd reverse diffusion, rdpf the same with probability_flow (x is also the mean),
#   as ancestral sampling, lang Langevin, ald annealed Langevin (both of n_steps inner steps):
#   _z noise, one draw an inner step, _x result, _mean its mean.
# pc: the predictor-corrector sampler. nfe: evaluations that it reports. draws: how many it makes.
#   first_noise: the first numbers of the first draw.
# inp: pc_inpainter; data; mask, 1 where it is known.
# col: pc_colorizer; gray, one channel of three equal ones; matrix, inverse its two; decoupled,
#   coupled: v times matrix and inverse.
# ncsn: anneal_Langevin_dynamics of levels sigmas from sigma_begin to sigma_end; x0 initial sample.
# ode: the ODE sampler from z, randn of the seed times sigma_max: x its result, x_denoised with
#   denoise=True (first tolerance only), nfe evaluations, t accepted times with both ends; code
#   what solve_ivp makes of x from eps to 1, with code_nfe and code_t.
# lik: likelihood.py: data; probe; bpd bits/dim, with offset 8; z latent code (first tolerance
#   only); delta_logp the integral; nfe, t as above; exact_logp log-density at sigma(eps), nats.
# probes: rademacher randint_like(0, 2)*2 - 1 and uniform torch.rand, each from the seed.
# jaxcond: pc_conditional of weight 1, [batch, row, column, channel]: four of its updates, called by
#   their number (even: langevin, odd: predictor; the timestep's is half of it): x before; score and
#   gradient, which is added to it; noise; x_out after, the last one's without noise.
# jaxem: JAX's Euler-Maruyama predictor: x, score; x_out, mean of noise z; pf_x_out the result with
#   probability_flow, which is also the mean.
"""
ONE_RUN = "cont|steps|pc|inp|col|ncsn|probes|jaxcond|jaxem"
CODES = {
    "predictor": ["reverse_diffusion", "euler_maruyama", "ancestral_sampling", "none"],
    "corrector": ["langevin", "ald", "none"],
    "probe_kind": ["Rademacher", "Gaussian"],
}


def check(condition, what):
    if not condition:
        sys.exit(f"not as assumed: {what}")


def same(a, b):
    return a.tobytes() == b.tobytes()


def typed(name, array):
    """The array in one of the file's types."""
    if array.dtype.kind == "U":
        return u32(CODES[name].index(array.item()))
    if array.dtype.kind in "ib":
        check(array.min() >= 0, f"{name} is not negative")
        return array.astype(np.uint64 if name.endswith("seed") else np.uint32)
    check(array.dtype.name in TYPES, f"{name} is of {array.dtype}")
    return array


def leave_hash(item, *names):
    for name in names:
        item[f"{name}_fnv1a"] = u64(fnv1a(item.pop(name).tobytes()))


def sigmas_at(item, index):
    """Puts the two discrete sigmas of each index in the place of the table."""
    table = item.pop("discrete_sigmas")
    item["discrete_sigma"] = table[index]
    item["adjacent_sigma"] = np.where(index == 0, f32(0), table[index - 1])


def cont(item):
    leave_hash(item, "timesteps")
    sigmas_at(item, item["index"])


def steps(item):
    sigmas_at(item, (item["t"] * np.float32(int(item["n"]) - 1)).astype(np.int64))
    sigma = item["sigma"][:, None, None, None]
    score = (item["mu"] - item["x"]) / (sigma * sigma + item["s2"])
    check(same(score, item.pop("score")), "the score is that of mu and s2")
    for tag in ("lang", "ald"):
        check(same(score, item.pop(f"{tag}_scores")[0]), "the first score is that of x")
    check(same(item.pop("rdpf_mean"), item["rdpf_x"]), "the flow's x is its mean")
    del item["rdpf_z"]


def loop(item):
    if same(item["out"], item["out_noisy"]):
        del item["out_noisy"]
    del item["timesteps"]
    if "noise" in item:
        leave_hash(item, "noise")


def col(item):
    loop(item)
    gray = item["gray"]
    check((gray == gray[:, :1]).all(), "gray's channels are equal")
    item["gray"] = gray[:, 0]


def ode(item):
    leave_hash(item, "z")
    adaptive(item, "x_denoised")


def lik(item):
    if typed("probe_kind", item["probe_kind"]) == 0:
        words = np.random.RandomState(int(item["seed"])).randint(
            0, 2**32, size=item["probe"].size, dtype=np.uint32
        )
        signs = (words & 1).astype(np.float32) * 2 - 1
        check(same(signs, item["probe"]), "a Rademacher probe follows from the seed")
    leave_hash(item, "probe")
    adaptive(item, "z")


def adaptive(item, only_once):
    """f32 will do for times and integrals; one array is recorded for the first tolerance only."""
    for name in list(item):
        if re.fullmatch(r"(t|code_t|delta_logp)_\d+", name):
            item[name] = item[name].astype(np.float32)
        elif name.startswith(f"{only_once}_") and not name.endswith("_0"):
            del item[name]


def jaxcond(item):
    item["x_out"] = np.concatenate([item["x"][1:], item.pop("out")[None]])
    item["noise"] = item["noise"][1:]
    last = len(item["x"]) - 1
    item["update"] = u32(0, 1, last - 1, last)
    for name in ("x", "score", "gradient", "noise", "x_out", "sigma"):
        item[name] = item[name][item["update"]]


def jaxem(item):
    check(same(item.pop("pf_mean"), item["pf_x_out"]), "the flow's x is its mean")
    del item["pf_z"]


RULES = {
    "cont": cont,
    "steps": steps,
    "pc": loop,
    "inp": loop,
    "col": col,
    "ode": ode,
    "lik": lik,
    "jaxcond": jaxcond,
    "jaxem": jaxem,
}


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: paper.py FILE.npz [OUT]")
    vectors, items = np.load(sys.argv[1]), {}
    for key in vectors.files:
        name, array = key.split("__")
        match = re.fullmatch(rf"(?:(ode|lik)_(\w+?)(?:_(\d+))?)|(?:({ONE_RUN})_?(\w*))", name)
        check(match, f"{key} has a known kind")
        solved, problem, tolerance, kind, suffix = match.groups()
        item = items.setdefault((kind or solved, problem or suffix or "0"), {})
        item[array if tolerance is None else f"{array}_{tolerance}"] = vectors[key]
    lines = [HEADER]
    for (kind, suffix), item in items.items():
        RULES.get(kind, lambda item: None)(item)
        lines += [array_line(f"{kind}/{suffix}", name, typed(name, item[name])) for name in item]
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else HERE / "paper.txt"
    out.write_text("".join(lines))


main()
