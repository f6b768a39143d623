"""What users do with a scheduler, done with diffusers' class and with vesde's: tables of idioms,
and calls with tensors of random shapes, strides and types. parity.py runs them.
"""

import collections
import copy
import inspect
import json
import pathlib
import pickle
import random
import tempfile
import types
import warnings

import diffusers
import numpy as np
import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils import BaseOutput
from torch.overrides import TorchFunctionMode

from vesde import abi


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def seeds(*all):
    return [seeded(seed) for seed in all]


# ---- idioms -------------------------------------------------------------------------------------

X = torch.randn((2, 3, 8, 8), generator=seeded(100))
M = torch.randn((2, 3, 8, 8), generator=seeded(101))
I = torch.tensor([1, 40])  # noqa: E741
CONFIG = {"num_train_timesteps": 50, "snr": 0.2, "sigma_min": 0.02, "sigma_max": 90.0}


class Unet(ModelMixin, ConfigMixin):
    """A network that diffusers' pipelines can save and load: the score of N(0, 1)."""

    @register_to_config
    def __init__(self, sample_size=8):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, sigma):
        variance = 1 + (sigma * sigma)[:, None, None, None]
        return types.SimpleNamespace(sample=-self.weight.detach() * x / variance)


def ready(S, n=10, **config):
    """A scheduler that is set to n steps."""
    s = S(**config)
    s.set_timesteps(n)
    s.set_sigmas(n)
    return s


def after(value, do):
    """`value`, after something has been done with it."""
    do(value)
    return value


def given(value, do):
    """What is done with `value`, which needs a name."""
    return do(value)


def saved(s, d):
    return after(d, s.save_pretrained)


def pipe(S, **config):
    pipeline = diffusers.ScoreSdeVePipeline(unet=Unet(), scheduler=S(**config))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline, **more):
    return pipeline(2, 5, generator=seeded(3), output_type="np", **more)


def loop(s, x, generator):
    """diffusers' documented loop."""
    x = x * s.init_noise_sigma
    for i, t in enumerate(s.timesteps):
        score = -x / (1 + s.sigmas[i] ** 2)
        for _ in range(s.config.correct_steps):
            x = s.step_correct(score, x, generator=generator).prev_sample
        x, mean = s.step_pred(score, t, x, generator=generator, return_dict=False)
    return mean


def swapped(S, pipeline):
    """The idiom of every guide: another scheduler in a pipeline, from its configuration."""
    pipeline.scheduler = S.from_config(pipeline.scheduler.config)
    return pipeline


def arguments_of(function):
    return [(one.name, one.default) for one in inspect.signature(function).parameters.values()]


def file_of(folder):
    return (folder / "scheduler_config.json").read_text()


def load(path):
    return torch.load(path, weights_only=False)


def by_hand(s):
    s.discrete_sigmas = torch.linspace(1, 2, 10)
    s.timesteps = torch.linspace(1, 0.25, 10)


def halved(s):
    s.timesteps, s.discrete_sigmas = torch.linspace(1, 0.25, 20)[::2], torch.arange(1.0, 21.0)[::2]


def tracked(x):
    return x.clone().requires_grad_()


def kept(step):
    x, m = X.clone(), M.clone()
    step(x, m)
    return x, m


def last(x):
    return x.to(memory_format=torch.channels_last)


def quiet(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    return draw(pipeline)


THEIRS, CPU = diffusers.ScoreSdeVeScheduler, torch.device("cpu")
METHODS = [
    name
    for name, method in vars(THEIRS).items()
    if inspect.isfunction(method) and name not in ("__init__", "__len__", "scale_model_input")
]

# What is done, with the class S and an empty folder d.
IDIOMS = [
    # construction
    ("no arguments", lambda S, d: S()),
    ("positional arguments", lambda S, d: S(50, 0.2, 0.02, 90.0, 1e-3, 2)),
    ("keywords", lambda S, d: S(**CONFIG)),
    ("integers for floats", lambda S, d: S(10, sigma_max=90, snr=1)),
    ("timesteps down to 0", lambda S, d: [S(10, sampling_eps=0.0).sigmas, ready(S, sampling_eps=0.0).timesteps]),
    ("an snr of 0", lambda S, d: S(10, snr=0.0).sigmas),
    ("NumPy's numbers", lambda S, d: S(10, sigma_max=np.float32(90), snr=np.float64(0.2)).sigmas),
    ("the arguments", lambda S, d: arguments_of(S)),
    ("the methods' arguments", lambda S, d: [arguments_of(getattr(S, name)) for name in METHODS]),
    ("a subclass with its own defaults", lambda S, d: type("Mine", (S,), {"order": 1})(20).sigmas),
    # what a scheduler is
    ("isinstance SchedulerMixin", lambda S, d: isinstance(S(), SchedulerMixin)),
    ("isinstance ConfigMixin", lambda S, d: isinstance(S(), ConfigMixin)),
    ("isinstance ScoreSdeVeScheduler", lambda S, d: isinstance(S(), THEIRS)),
    ("order", lambda S, d: (S.order, S().order)),
    ("init_noise_sigma", lambda S, d: (S().init_noise_sigma, S(sigma_max=0.3).init_noise_sigma)),
    ("len", lambda S, d: len(S(30))),
    ("repr", lambda S, d: repr(S(30))),
    ("compatibles", lambda S, d: [c.__name__ for c in S().compatibles]),
    ("_compatibles", lambda S, d: (S._compatibles, S.has_compatibles)),
    ("config_name", lambda S, d: S.config_name),
    (
        "hasattr of what others have",
        lambda S, d: [hasattr(S(), n) for n in ("sigmas", "step", "x")],
    ),
    ("a configuration's key as attribute", lambda S, d: S().snr),
    # the configuration
    ("config.snr", lambda S, d: S(**CONFIG).config.snr),
    ("config['snr']", lambda S, d: S(**CONFIG).config["snr"]),
    ("config.get", lambda S, d: [S().config.get(k, 7) for k in ("snr", "prediction_type")]),
    ("in config", lambda S, d: ("snr" in S().config, "eta" in S().config)),
    ("dict(config)", lambda S, d: dict(S(**CONFIG).config)),
    ("**config", lambda S, d: S(**{k: v for k, v in S(**CONFIG).config.items() if k[0] != "_"})),
    ("json.dumps(config)", lambda S, d: json.loads(json.dumps(S(20, snr=0.1).config))["snr"]),
    ("register_to_config", lambda S, d: after(S(9), lambda s: s.register_to_config(snr=0.3))),
    ("to_json_string", lambda S, d: S(**CONFIG).to_json_string()),
    ("from_config(config)", lambda S, d: S.from_config(S(**CONFIG).config)),
    ("from_config(other.config)", lambda S, d: S.from_config(THEIRS(**CONFIG).config)),
    ("from_config the other way", lambda S, d: THEIRS.from_config(S(**CONFIG).config)),
    ("from_config(dict)", lambda S, d: S.from_config({"snr": 0.3, "num_train_timesteps": 9})),
    ("from_config(config, snr=)", lambda S, d: S.from_config(S(**CONFIG).config, snr=0.1)),
    (
        "from_config of another scheduler",
        lambda S, d: S.from_config(diffusers.DDIMScheduler(30).config).config.num_train_timesteps,
    ),
    (
        "another scheduler from_config",
        lambda S, d: diffusers.DDPMScheduler.from_config(S(30).config).config.num_train_timesteps,
    ),
    (
        "from_config, unused",
        lambda S, d: S.from_config({"snr": 0.3}, return_unused_kwargs=True, eta=1)[1],
    ),
    # files
    ("save_config", lambda S, d: after(d, S(**CONFIG).save_config) and json.loads(file_of(d))),
    ("save_pretrained", lambda S, d: file_of(saved(S(**CONFIG), d))),
    ("save_pretrained, new folders", lambda S, d: file_of(saved(S(), d / "a" / "b"))),
    ("from_pretrained", lambda S, d: S.from_pretrained(saved(S(**CONFIG), d))),
    ("from_pretrained(str)", lambda S, d: S.from_pretrained(str(saved(S(**CONFIG), d)))),
    ("from_pretrained of diffusers' files", lambda S, d: S.from_pretrained(saved(THEIRS(9), d))),
    ("diffusers' from_pretrained", lambda S, d: THEIRS.from_pretrained(saved(S(9), d))),
    (
        "from_pretrained, subfolder",
        lambda S, d: saved(S(**CONFIG), d / "scheduler")
        and S.from_pretrained(d, subfolder="scheduler"),
    ),
    ("from_pretrained, snr", lambda S, d: S.from_pretrained(saved(S(9), d), snr=0.25)),
    (
        "from_pretrained, unused",
        lambda S, d: S.from_pretrained(saved(S(9), d), return_unused_kwargs=True, eta=1)[1]["eta"],
    ),
    ("load_config", lambda S, d: S.load_config(saved(S(**CONFIG), d))),
    (
        "from_config(load_config)",
        lambda S, d: S.from_config(S.load_config(saved(S(**CONFIG), d)), sigma_max=50.0),
    ),
    # copies
    ("copy", lambda S, d: copy.copy(ready(S))),
    ("deepcopy", lambda S, d: copy.deepcopy(ready(S, **CONFIG))),
    (
        "a deepcopy is on its own",
        lambda S, d: after(ready(S), lambda s: copy.deepcopy(s).set_sigmas(10, 1.0)),
    ),
    ("pickle", lambda S, d: pickle.loads(pickle.dumps(ready(S, **CONFIG)))),
    (
        "torch.save",
        lambda S, d: after(d / "s", lambda f: torch.save(ready(S), f)) and load(d / "s"),
    ),
    # tables
    ("set_timesteps", lambda S, d: ready(S, 7).timesteps),
    (
        "set_timesteps, keyword",
        lambda S, d: after(S(), lambda s: s.set_timesteps(num_inference_steps=7)),
    ),
    ("set_timesteps, sampling_eps", lambda S, d: after(S(), lambda s: s.set_timesteps(7, 1e-2))),
    ("set_timesteps, device", lambda S, d: after(S(), lambda s: s.set_timesteps(7, device="cpu"))),
    (
        "set_timesteps, torch.device",
        lambda S, d: after(S(), lambda s: s.set_timesteps(7, device=CPU)),
    ),
    ("set_timesteps only", lambda S, d: after(S(), lambda s: s.set_timesteps(7)).discrete_sigmas),
    ("set_sigmas only", lambda S, d: after(S(20), lambda s: s.set_sigmas(7))),
    (
        "set_sigmas, keywords",
        lambda S, d: after(S(), lambda s: s.set_sigmas(7, 0.1, sigma_max=9.0)),
    ),
    ("one step", lambda S, d: ready(S, 1)),
    ("len(timesteps)", lambda S, d: len(ready(S, 13).timesteps)),
    ("timesteps.tolist()", lambda S, d: ready(S, 13).timesteps.tolist()),
    ("timesteps cut for image to image", lambda S, d: ready(S, 10).timesteps[4:]),
    ("timesteps to another type", lambda S, d: ready(S, 10).timesteps.to(torch.float64)),
    ("sigmas.numpy()", lambda S, d: ready(S, 10).sigmas.numpy().sum()),
    ("tables set by hand", lambda S, d: after(ready(S), by_hand).step_pred(M, 0.5, X, seeded(1))),
    ("strided tables", lambda S, d: after(ready(S), halved).add_noise(X, M, I % 9)),
    ("scale_model_input", lambda S, d: S().scale_model_input(X, 0.5)),
    ("scale_model_input is no copy", lambda S, d: S().scale_model_input(X) is X),
    (
        "get_adjacent_sigma",
        lambda S, d: ready(S).get_adjacent_sigma(torch.arange(4), torch.ones(4)),
    ),
    (
        "get_adjacent_sigma at 0-d",
        lambda S, d: ready(S).get_adjacent_sigma(I[0], torch.tensor(0.5)),
    ),
    # steps
    ("step_pred", lambda S, d: ready(S).step_pred(M, 0.5, X, generator=seeded(1))),
    (
        "step_pred, keywords",
        lambda S, d: ready(S).step_pred(model_output=M, timestep=0.5, sample=X),
    ),
    ("step_pred, return_dict=False", lambda S, d: ready(S).step_pred(M, 0.5, X, return_dict=False)),
    ("step_pred, integer timestep", lambda S, d: [ready(S).step_pred(M, t, X) for t in (0, 1)]),
    (
        "step_pred, 0-d timestep",
        lambda S, d: given(ready(S), lambda s: s.step_pred(M, s.timesteps[3], X)),
    ),
    ("step_pred, NumPy's timestep", lambda S, d: ready(S).step_pred(M, np.float32(0.5), X)),
    (
        "step_pred, a timestep a sample",
        lambda S, d: ready(S).step_pred(M, torch.tensor([0.9, 0.3]), X),
    ),
    (
        "step_pred, no generator",
        lambda S, d: (torch.manual_seed(4), ready(S).step_pred(M, 0.5, X))[1],
    ),
    ("step_pred, generators", lambda S, d: ready(S).step_pred(M, 0.5, X, generator=seeds(1, 2))),
    ("step_pred, a list of one", lambda S, d: ready(S).step_pred(M, 0.5, X, generator=seeds(1))),
    ("step_pred, batch of one", lambda S, d: ready(S).step_pred(M[:1], 0.5, X[:1], seeded(1))),
    ("step_pred, vectors", lambda S, d: ready(S).step_pred(M[:, 0, 0], 0.5, X[:, 0, 0], seeded(1))),
    ("step_pred, float16", lambda S, d: ready(S).step_pred(M.half(), 0.5, X.half(), seeded(1))),
    ("step_pred, bfloat16 score", lambda S, d: ready(S).step_pred(M.bfloat16(), 0.5, X, seeded(1))),
    (
        "step_pred, inference_mode",
        lambda S, d: torch.inference_mode()(lambda: ready(S).step_pred(M, 0.5, X))(),
    ),
    ("step_pred, a detached score", lambda S, d: ready(S).step_pred(tracked(M).detach(), 0.5, X)),
    ("step_pred keeps its inputs", lambda S, d: kept(lambda x, m: ready(S).step_pred(m, 0.5, x))),
    ("step_correct", lambda S, d: ready(S).step_correct(M, X, generator=seeded(1))),
    ("step_correct, keywords", lambda S, d: ready(S).step_correct(model_output=M, sample=X)),
    (
        "step_correct, return_dict=False",
        lambda S, d: ready(S).step_correct(M, X, return_dict=False),
    ),
    ("step_correct, generators", lambda S, d: ready(S).step_correct(M, X, generator=seeds(1, 2))),
    ("step_correct, float16", lambda S, d: ready(S).step_correct(M.half(), X.half(), seeded(1))),
    ("step_correct, another snr", lambda S, d: ready(S, snr=0.3).step_correct(M, X, seeded(1))),
    (
        "step_correct, channels_last",
        lambda S, d: ready(S).step_correct(last(M), last(X), seeded(1)),
    ),
    ("step_correct keeps its inputs", lambda S, d: kept(lambda x, m: ready(S).step_correct(m, x))),
    # outputs
    ("out.prev_sample", lambda S, d: ready(S).step_pred(M, 0.5, X).prev_sample),
    ("out['prev_sample_mean']", lambda S, d: ready(S).step_pred(M, 0.5, X)["prev_sample_mean"]),
    ("out[0]", lambda S, d: (ready(S).step_pred(M, 0.5, X)[0], ready(S).step_correct(M, X)[0])),
    ("out[:2]", lambda S, d: ready(S).step_pred(M, 0.5, X)[:2]),
    ("out.to_tuple()", lambda S, d: ready(S).step_pred(M, 0.5, X).to_tuple()),
    ("out.keys()", lambda S, d: list(ready(S).step_pred(M, 0.5, X).keys())),
    ("iterating over an output", lambda S, d: list(ready(S).step_pred(M, 0.5, X))),
    (
        "len(out)",
        lambda S, d: (len(ready(S).step_pred(M, 0.5, X)), len(ready(S).step_correct(M, X))),
    ),
    ("the output's class", lambda S, d: type(ready(S).step_pred(M, 0.5, X))),
    ("isinstance BaseOutput", lambda S, d: isinstance(ready(S).step_correct(M, X), BaseOutput)),
    # noise
    ("add_noise", lambda S, d: ready(S, 50).add_noise(X, M, I)),
    (
        "add_noise, keywords",
        lambda S, d: ready(S, 50).add_noise(original_samples=X, noise=M, timesteps=I),
    ),
    ("add_noise without noise", lambda S, d: ready(S, 50).add_noise(X, None, I)),
    (
        "add_noise without noise, channels_last",
        lambda S, d: ready(S, 50).add_noise(last(X), None, I),
    ),
    ("add_noise, one index", lambda S, d: ready(S, 50).add_noise(X, M, torch.tensor([7]))),
    ("add_noise, int32 indices", lambda S, d: ready(S, 50).add_noise(X, M, I.int())),
    ("add_noise, random indices", lambda S, d: S().add_noise(X, M, torch.randint(0, 2000, (2,)))),
    ("add_noise, one noise for all", lambda S, d: ready(S, 50).add_noise(X, M[:1], I)),
    (
        "add_noise, image to image",
        lambda S, d: ready(S, 50).add_noise(X, torch.randn_like(X), I[1:]),
    ),
    # loops and pipelines
    ("the documented loop", lambda S, d: loop(ready(S, 6, **CONFIG), X, seeded(5))),
    ("the loop, list of generators", lambda S, d: loop(ready(S, 6, **CONFIG), X, seeds(5, 6))),
    ("the loop, channels_last", lambda S, d: loop(ready(S, 6, **CONFIG), last(X), seeded(5))),
    (
        "the loop, two corrections",
        lambda S, d: loop(ready(S, 6, **CONFIG, correct_steps=2), X, seeded(5)),
    ),
    (
        "the loop twice",
        lambda S, d: given(
            ready(S, 6, **CONFIG), lambda s: [loop(s, X, seeded(k)) for k in (1, 2)]
        ),
    ),
    ("ScoreSdeVePipeline", lambda S, d: draw(pipe(S, **CONFIG)).images),
    ("ScoreSdeVePipeline, tuple", lambda S, d: draw(pipe(S), return_dict=False)),
    ("a scheduler swapped in", lambda S, d: draw(swapped(S, pipe(THEIRS, **CONFIG))).images),
    (
        "register_modules",
        lambda S, d: draw(after(pipe(THEIRS), lambda p: p.register_modules(scheduler=S()))).images,
    ),
    ("pipeline.components", lambda S, d: sorted(pipe(S).components)),
    ("a pipeline from components", lambda S, d: quiet(type(pipe(S))(**pipe(S).components)).images),
    ("pipeline.to(cpu)", lambda S, d: draw(pipe(S).to("cpu")).images),
    ("pipeline.save_pretrained", lambda S, d: file_of(saved(pipe(S, **CONFIG), d) / "scheduler")),
    (
        "the scheduler of a saved pipeline",
        lambda S, d: S.from_pretrained(saved(pipe(S, **CONFIG), d), subfolder="scheduler"),
    ),
    (
        "pipeline.from_pretrained",
        lambda S, d: quiet(
            diffusers.ScoreSdeVePipeline.from_pretrained(saved(pipe(S, **CONFIG), d))
        ).images,
    ),
    (
        "pipeline.from_pretrained(scheduler=)",
        lambda S, d: quiet(
            diffusers.ScoreSdeVePipeline.from_pretrained(
                saved(pipe(THEIRS), d), scheduler=S(**CONFIG)
            )
        ).images,
    ),
]

# What is refused by both, with the same kind of error.
REFUSED = [
    ("an unknown argument", lambda S, d: S(eta=1)),
    ("an attribute that is not there", lambda S, d: S().step),
    ("config['x'] that is not there", lambda S, d: S().config["x"]),
    ("from_config()", lambda S, d: S.from_config()),
    ("from_pretrained of an empty folder", lambda S, d: S.from_pretrained(d)),
    (
        "save_pretrained to a file",
        lambda S, d: after(d / "f", lambda f: f.touch()) and saved(S(), d / "f"),
    ),
    (
        "no timesteps",
        lambda S, d: given(S(), lambda s: [setattr(s, "timesteps", None), s.step_pred(M, 1, X)]),
    ),
    (
        "no timesteps to correct",
        lambda S, d: given(S(), lambda s: [setattr(s, "timesteps", None), s.step_correct(M, X)]),
    ),
    ("a fraction of a step", lambda S, d: S().set_timesteps(2.5)),
    ("steps below 0", lambda S, d: S().set_timesteps(-1)),
    ("a timestep beyond 1", lambda S, d: S().step_pred(M, 1.5, X)),
    ("a timestep that is NaN", lambda S, d: S().step_pred(M, float("nan"), X)),
    (
        "fewer sigmas than timesteps",
        lambda S, d: given(S(), lambda s: [s.set_sigmas(3), s.step_pred(M, 0.5, X)]),
    ),
    ("fewer generators than samples", lambda S, d: S().step_pred(M, 0.5, X, generator=[])),
    (
        "a tuple of generators",
        lambda S, d: S().step_pred(M, 0.5, X, generator=(seeded(1), seeded(2))),
    ),
    ("an index beyond the sigmas", lambda S, d: S(50).add_noise(X, M, I + 10)),
    ("continuous timesteps to add_noise", lambda S, d: S().add_noise(X, M, torch.rand(2))),
    ("a list of timesteps", lambda S, d: S().add_noise(X, M, [1, 2])),
    ("a timestep without an axis", lambda S, d: S().add_noise(X, M, torch.tensor(3))),
    ("deleting from an output", lambda S, d: S().step_pred(M, 0.5, X).pop("prev_sample")),
    ("a sample that is no tensor", lambda S, d: S().step_pred(M, 0.5, [1.0, 2.0])),
]

# What vesde cannot do, though diffusers can: a clear error, of this kind.
OUR_LIMITS = [
    ("a float64 sample", TypeError, lambda S: ready(S).step_pred(M, 0.5, X.double())),
    ("a float64 score", TypeError, lambda S: ready(S).step_correct(M.double(), X)),
    ("float64 noise", TypeError, lambda S: ready(S).add_noise(X, M.double(), I % 9)),
    ("float64 timesteps", TypeError, lambda S: ready(S).step_pred(M, I.double() / 50, X)),
    ("float64 sigmas", TypeError, lambda S: with_sigmas(S, torch.float64).step_pred(M, 0.5, X)),
    ("float16 sigmas", TypeError, lambda S: with_sigmas(S, torch.float16).add_noise(X, M, I % 9)),
    ("float64 by default", TypeError, lambda S: in_float64(lambda: ready(S))),
    ("a complex score", TypeError, lambda S: ready(S).step_pred(M + 0j, 0.5, X)),
    (
        "a gradient to be recorded",
        ValueError,
        lambda S: tracking(lambda x: ready(S).step_pred(x, 0.5, X)),
    ),
    (
        "a gradient of a correction",
        ValueError,
        lambda S: tracking(lambda x: ready(S).step_correct(M, x)),
    ),
    (
        "a gradient of noise",
        ValueError,
        lambda S: tracking(lambda x: ready(S).add_noise(X, x, I % 9)),
    ),
    ("a sample elsewhere", ValueError, lambda S: ready(S).step_pred(M, 0.5, X.to("meta"))),
    ("a score elsewhere", ValueError, lambda S: ready(S).step_correct(M.to("meta"), X)),
    ("timesteps elsewhere", ValueError, lambda S: S().set_timesteps(5, device="meta")),
    ("a timestep below 0", ValueError, lambda S: ready(S).step_pred(M, -0.2, X)),
    ("a score of zeros", ValueError, lambda S: ready(S).step_correct(0 * M, X)),
    ("a score that is NaN", ValueError, lambda S: ready(S).step_correct(M * float("nan"), X)),
    ("a negative snr", ValueError, lambda S: S(snr=-0.15)),
    ("sigmas that descend", ValueError, lambda S: S(sigma_min=2.0, sigma_max=1.0)),
    ("no steps", ValueError, lambda S: S().set_timesteps(0)),
]


def with_sigmas(S, dtype):
    return after(ready(S), lambda s: setattr(s, "discrete_sigmas", s.discrete_sigmas.to(dtype)))


def with_list(S):
    return after(ready(S), lambda s: setattr(s, "timesteps", s.timesteps.tolist()))


def in_float64(do):
    torch.set_default_dtype(torch.float64)
    try:
        return do()
    finally:
        torch.set_default_dtype(torch.float32)


def tracking(do):
    with torch.enable_grad():
        return do(tracked(M))


def strides(x):
    """Those that have a meaning: of axes along which there is a second element."""
    return [stride for size, stride in zip(x.shape, x.stride()) if size > 1 and x.numel() > 0]


def same(a, b):
    """Whether two results are the same, but for the last bits of tables and roots."""
    if type(a).__name__ != type(b).__name__:
        return False
    if isinstance(a, torch.Tensor):
        alike = all(getattr(a, x) == getattr(b, x) for x in ("shape", "dtype", "requires_grad"))
        return alike and strides(a) == strides(b) and same(a.numpy(), b.numpy())
    if isinstance(a, np.ndarray):
        alike = a.shape == b.shape and a.dtype == b.dtype
        return alike and np.allclose(a, b, rtol=0, atol=1e-6 * max(np.abs(a).max(initial=0), 1))
    if isinstance(a, float):
        return abs(a - b) <= 1e-6 * abs(a)
    if isinstance(a, SchedulerMixin):
        return same(vars(a), vars(b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(
            sorted(a[k]) == sorted(b[k]) if k == "_use_default_values" else same(a[k], b[k])
            for k in a
        )
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a.__name__ == b.__name__ if isinstance(a, type) else a == b


def outcome(idiom, scheduler_class):
    """What an idiom returns and raises."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return idiom(scheduler_class, pathlib.Path(folder)), None
        except Exception as error:
            return None, error


def run_idioms(ours):
    """Those that differ, and how."""
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")  # of what both are deprecated for
    differing = []
    for idioms, refused in ((IDIOMS, False), (REFUSED, True)):
        for name, idiom in idioms:
            (a, error), (b, our_error) = (outcome(idiom, one) for one in (THEIRS, ours))
            if refused:
                alike = error is not None and isinstance(our_error, type(error))
            else:
                alike = error is None and our_error is None and same(a, b)
            if not alike:
                differing.append(f"{name}: {error or a!r}, but {our_error or b!r}")
    for name, kind, idiom in OUR_LIMITS:
        value, error = outcome(lambda S, d: idiom(S), ours)
        if not isinstance(error, kind):
            differing.append(f"{name}: {error or value!r}")
    differing += [f"{name} is diffusers'" for name in METHODS if name not in vars(ours)]
    return differing


# ---- shapes, strides and types ------------------------------------------------------------------


class NearestRoot(TorchFunctionMode):
    """torch with roots that are the nearest floats, which those of MKL are not always."""

    def __torch_function__(self, function, kinds, arguments=(), named=None):
        if function is torch.Tensor.__pow__ and arguments[1] == 0.5:
            return arguments[0].double().sqrt().to(arguments[0].dtype)
        return function(*arguments, **(named or {}))


def reversed_axes(x):
    axes = tuple(reversed(range(x.ndim)))
    return x.permute(axes).contiguous().permute(axes)


def every_second(x):
    return torch.stack([x, x + 1], dim=-1)[..., 0]


def part(x):
    return torch.cat([x, x])[x.shape[0] :] if x.ndim else x


def expanded(x):
    return x[:1].expand(x.shape) if x.ndim else x


def negated_view(x):
    """A view that torch negates when it is read."""
    return torch.complex(x, x).conj().imag if x.dtype == torch.float32 else x


LAYOUTS = [
    lambda x: x,
    lambda x: x,
    lambda x: last(x) if x.ndim == 4 else x,
    lambda x: x.to(memory_format=torch.channels_last_3d) if x.ndim == 5 else x,
    lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2) if x.ndim > 1 else x,
    reversed_axes,
    every_second,
    part,
    expanded,
    negated_view,
]
TYPES = [torch.float32] * 24 + [torch.float16, torch.bfloat16] * 3
TYPES += [torch.int64, torch.uint8, torch.bool, torch.float64, torch.complex64]


def neighbour(r, shape):
    """The same shape, or one that broadcasts to it, or one that does not fit."""
    shape = list(shape)
    at = r.randrange(len(shape)) if shape else None
    kind = r.choice(
        ["same"] * 12 + ["one", "one", "fewer", "more", "other", "swapped", "flat", "ones"]
    )
    if kind == "one" and shape:
        shape[at] = 1
    elif kind == "fewer":
        shape = shape[1:]
    elif kind == "more":
        shape.insert(0, r.choice([1, 2]))
    elif kind == "other" and shape:
        shape[at] = r.choice([0, 1, 2, 5, 6])
    elif kind == "swapped":
        r.shuffle(shape)
    elif kind == "flat":
        shape = [int(np.prod(shape))]
    elif kind == "ones":
        shape = [1] * len(shape)
    return shape


def some_tensor(r, shape):
    values = torch.randn(shape, generator=seeded(r.randrange(2**32))) * 3
    dtype = r.choice(TYPES)
    return r.choice(LAYOUTS)((values.abs() if dtype == torch.uint8 else values).to(dtype))


def some_generator(r, batch):
    """How to make one, which is done for each scheduler."""
    count = r.choice([None] * 3 + [batch] * 3 + [0, 1, 2, batch + 1])
    seed = r.randrange(1000)
    if r.random() < 0.3:
        return lambda: None
    return lambda: seeded(seed) if count is None else seeds(*range(seed, seed + count))


def some_timestep(r, batch):
    t = round(r.random(), 3)
    return r.choice(
        [t, t, t, t, 0, 1, 1.5, float("nan"), -0.5, -1e-4, np.float32(t), True]
        + [torch.tensor(t)] * 6
        + [torch.tensor(t, dtype=torch.float64), torch.tensor(1)]
        + [torch.rand(n, generator=seeded(r.randrange(99))) for n in (batch, batch, batch, 1, 2, 0)]
        + [torch.full((batch,), t, dtype=dtype) for dtype in (torch.float64, torch.float16)]
        + [torch.full((batch, 1), t), torch.full((1, 1), t), torch.full((2, 1, 1), 1)]
    )


def some_indices(r, batch, n):
    chosen = [r.randrange(n) for _ in range(batch)]
    return r.choice(
        [torch.tensor(chosen, dtype=torch.int64)] * 8
        + [torch.tensor(chosen, dtype=dtype) for dtype in (torch.int32, torch.uint8, torch.float32)]
        + [
            torch.tensor(one)
            for one in ([3], 3, [1, 2], [[1], [2]], [[1, 2]], [-1], [n], [-n - 1], [])
        ]
        + [torch.arange(n) < 2, torch.arange(n) < batch, torch.ones(3) > 0]
    )


def some_call(r):
    """A method, its arguments, and how to make its generator."""
    sizes = [1, 2, 2, 3, 3, 4, 5, 17]
    shape = [r.choice(sizes) for _ in range(r.choice([0, 1, 2, 3, 3, 4, 4, 4, 4, 4, 5]))]
    if r.random() < 0.08 and shape:
        shape[r.randrange(len(shape))] = 0
    batch = shape[0] if shape else 1
    sample, other = some_tensor(r, shape), some_tensor(r, neighbour(r, shape))
    method = r.choice(["step_pred", "step_correct", "add_noise"] * 3 + ["get_adjacent_sigma"])
    if method == "get_adjacent_sigma":
        return method, (some_indices(r, batch, STEPS), other), lambda: None
    if method == "add_noise":
        other = None if r.random() < 0.2 else other
        return method, (sample, other, some_indices(r, batch, STEPS)), lambda: None
    generator = some_generator(r, batch)
    if method == "step_correct":
        return method, (other, sample), generator
    # torch refuses an empty sample of bool here where it has data only.
    sample = sample.int() if sample.dtype == torch.bool else sample
    return method, (other, some_timestep(r, batch), sample), generator


STEPS = 10


def result_of(scheduler, method, arguments, make):
    """Tensors that come out, and what the generators draw next; or the error."""
    torch.manual_seed(0)
    try:
        generator = make()
        steps = method.startswith("step")
        named = {"generator": generator, "return_dict": False} if steps else {}
        out = getattr(scheduler, method)(*arguments, **named)
        generators = generator if isinstance(generator, list) else [generator]
        draws = [torch.randn(3, generator=one) for one in generators]
        return [*(out if isinstance(out, tuple) else [out]), *draws], None
    except Exception as error:
        return None, error


def same_bits(a, b):
    """Whether two tensors are the same in type, shape, strides and bits."""
    if (a.shape, a.dtype, strides(a)) != (b.shape, b.dtype, strides(b)):
        return False
    a, b = (x.numpy().astype(np.float32, order="C") for x in (a, b))
    return np.all((a.view(np.int32) == b.view(np.int32)) | (np.isnan(a) & np.isnan(b)))


def verdict(method, arguments, theirs, error, ours, our_error):
    """Where a result or an error belongs, or None where it must not be."""
    if error is None and our_error is None:
        return "the same bits" if all(map(same_bits, theirs, ours)) else None
    if our_error is None:
        return None
    if error is not None and isinstance(our_error, type(error)):
        return "the same error"
    if str(our_error).startswith("vesde computes in float32"):
        kinds = [x.dtype for x in theirs or tensors(arguments)]
        return "refused: not float32" if any(x != torch.float32 for x in kinds) else None
    status = getattr(our_error, "status", None)
    if status == abi.TIMESTEP_OUT_OF_RANGE:
        t = torch.as_tensor(arguments[1 if method == "step_pred" else 0])
        return "refused: no such timestep" if ((t < 0) | (t == STEPS)).any() else None
    if status in (abi.ZERO_GRADIENT_NORM, abi.NON_FINITE_GRADIENT_NORM):
        norm = arguments[0].to(torch.float32).norm()
        return "refused: the score has no norm" if norm == 0 or not norm.isfinite() else None
    return None


def tensors(arguments):
    return [x for x in arguments if isinstance(x, torch.Tensor)]


def run_shapes(ours_class, count):
    """How many of `count` random calls end how, and those that end wrongly."""
    theirs = ready(THEIRS, STEPS, **CONFIG)
    ours = ready(ours_class, STEPS, **CONFIG)
    for name in ("timesteps", "sigmas", "discrete_sigmas"):
        setattr(ours, name, getattr(theirs, name))
    ends, faults, r = collections.Counter(), [], random.Random(14)
    for _ in range(count):
        method, arguments, make = some_call(r)
        with NearestRoot():
            expected = result_of(theirs, method, arguments, make)
        got = result_of(ours, method, arguments, make)
        end = verdict(method, arguments, *expected, *got)
        ends[end] += 1
        if end is None:
            of = [(x.dtype, tuple(x.shape), x.stride()) for x in tensors(arguments)]
            faults.append(f"{method} of {of}: {expected[1]!r}, but {got[1]!r}")
    return ends, faults
