"""Networks that dermedge does not know take part in the zoo, from the folder of checkpoints."""

from __future__ import annotations

import pytest
from torch import nn

import dermedge
from edge.errors import InputError
from edge.questions.zoo.measure import parameters
from edge.questions.zoo.plan import checkpoint_for, jobs, models_of, own_networks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("checkpoints")
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    plain = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    dermedge.save(dermedge.wrap(net, ["a", "b", "c"], side=32, name="mine", untrained=True, **plain), home / "mine")
    return home


def test_they_are_found_by_name(folder):
    assert own_networks(folder) == ["mine"] and models_of(None, folder)[-1] == "mine"
    assert checkpoint_for("mine", folder) == folder / "mine.pt2"
    assert parameters("mine", folder) == 4 * 27 + 4 + 3 * 4 + 3
    with pytest.raises(InputError, match="unknown model 'mine'"):
        models_of(["mine"])


def test_their_files_are_planned(folder):
    sizes = {"mine": 127, "mobilenetv2": 2_000_000}
    planned = jobs(["mine"], ["fp32"], ["tflite"], parameters=sizes, limit=6e6, large=False, checkpoints=folder)
    assert [(job.model, job.recipes, job.checkpoint) for job in planned if job.model == "mine"] == [
        ("mine", ("fp32",), folder / "mine.pt2")
    ]
