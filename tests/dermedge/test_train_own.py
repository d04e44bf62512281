"""Training a network of one's own: by the API and on the command line, and what becomes of its checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import dermedge
from dermedge.commands import train as command
from edge.runtimes.reference import Reference

PLAIN = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
SPLIT = {"folds": 3, "held_back": 0.25}


def build(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(8, num_classes))  # fmt: skip


def test_a_builder_is_trained_and_its_checkpoint_stands_alone(folder_of_photographs, tmp_path):
    rows: list[dict] = []
    photos = dermedge.open_photos(folder_of_photographs)
    run = dermedge.train(
        build,
        photos,
        out=tmp_path / "run",
        stages="32x2",
        batch=4,
        name="mine",
        on_epoch=rows.append,
        **SPLIT,
        **PLAIN,
    )
    assert run.checkpoint_path.name == "checkpoint.pt2" and len(rows) == 2
    assert run.checkpoint.model == "mine" and run.checkpoint.trained and not run.checkpoint.lists_no_patients
    back = dermedge.load(run.checkpoint_path)
    assert back.live is None and back.sha256 == run.checkpoint.sha256
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    first, second = (Reference(checkpoint).run(images).probabilities for checkpoint in (run.checkpoint, back))
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert dermedge.evaluate(back, photos).sets[0].figures["images"] == run.metrics["images"]


def test_the_command_trains_a_file(folder_of_photographs, tmp_path, capsys):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\ndef build(num_classes):\n    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), "
        "nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))\n"
    )
    flags = ["--data", str(folder_of_photographs), "--out", str(tmp_path / "run"), "--stages", "32x1", "--batch", "4"]
    flags += ["--folds", "3", "--held-back", "0.25"]
    own = ["--model", f"{tmp_path / 'net.py'}:build", "--name", "mine"]
    assert command.main([*flags, *own]) == 2
    assert "--mean" in capsys.readouterr().err
    assert command.main([*flags, *own, "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5"]) == 0
    assert (tmp_path / "run" / "checkpoint.pt2").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learning_rte": 1e-3}, "did you mean learning_rate"),
        ({"descriptors": 3.0, **PLAIN}, "descriptors"),
        ({"mean": None}, "needs `mean`"),
        ({"stages": "33x1", **PLAIN}, "multiple of 32"),
    ],
)
def test_options_that_do_not_fit_are_named(folder_of_photographs, tmp_path, options, words):
    with pytest.raises(dermedge.InputError) as raised:
        dermedge.train(build, folder_of_photographs, out=tmp_path, **{"stages": "32x1", "batch": 4, **SPLIT, **options})
    assert words in str(raised.value)


def test_a_module_is_not_trained_itself(folder_of_photographs, tmp_path):
    torch.manual_seed(0)
    module = build(2)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    dermedge.train(module, folder_of_photographs, out=tmp_path / "run", stages="32x1", batch=4, **SPLIT, **PLAIN)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
