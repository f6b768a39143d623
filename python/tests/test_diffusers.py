"""The scheduler in diffusers' pipeline, where diffusers is. examples/parity compares all of it."""

import pathlib
import re
import types

import numpy as np
import pytest

import vesde

diffusers = pytest.importorskip("diffusers")
torch = pytest.importorskip("torch")

README = (pathlib.Path(__file__).resolve().parents[1] / "README.md").read_text()


class Score(torch.nn.Module):
    """The exact score of N(1/2, 1/100), in the shape of a network of diffusers."""

    device = torch.device("cpu")
    config = types.SimpleNamespace(sample_size=16)

    def forward(self, x, sigma):
        variance = (sigma * sigma + 0.01)[:, None, None, None]
        return types.SimpleNamespace(sample=(0.5 - x) / variance)


def a_pipeline(*_):
    scheduler = diffusers.ScoreSdeVeScheduler(sigma_max=50.0)
    pipeline = diffusers.ScoreSdeVePipeline(unet=Score(), scheduler=scheduler)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_the_readmes_line(monkeypatch):
    """With a network that is at hand: the picture is diffusers'."""
    monkeypatch.setattr(diffusers.ScoreSdeVePipeline, "from_pretrained", a_pipeline)
    snippets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (snippet,) = (one for one in snippets if "diffusers" in one)
    names = {}
    exec(snippet, names)
    assert type(names["pipeline"].scheduler).__module__ == "vesde.diffusers"
    one_line = re.sub(r"\npipeline\.scheduler = .*", "", snippet)
    assert len(one_line) < len(snippet)
    exec(one_line, theirs := {})
    assert type(theirs["pipeline"].scheduler) is diffusers.ScoreSdeVeScheduler
    ours, theirs = (np.array(of["image"]) for of in (names, theirs))
    assert np.array_equal(ours, theirs)
    assert len(np.unique(ours)) > 100


def test_memory_of_tensors_is_filled_in_place():
    tensor = torch.zeros(4, 100)
    vesde.TorchCpu(3).randn(out=tensor.numpy())
    assert torch.equal(tensor, torch.randn(4, 100, generator=torch.manual_seed(3)))


def test_generators_of_vesde():
    from vesde.diffusers import ScoreSdeVeScheduler

    scheduler = ScoreSdeVeScheduler(10)
    x = torch.ones(2, 1, 4, 4)
    a, b = (
        scheduler.step_pred(0 * x, 1.0, x, generator=make(5)).prev_sample
        for make in (vesde.TorchCpu, torch.manual_seed)
    )
    assert torch.equal(a, b)
    with pytest.raises(ValueError, match="CPU"):
        scheduler.step_pred(x.to("meta"), 1.0, x)
