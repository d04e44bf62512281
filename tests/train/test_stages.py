"""Deep supervision: earlier stages learn the class too, and nothing of it stays in the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from dermedge.commands.train import main
from edge import checkpoint
from edge.checkpoint import Preprocess
from edge.errors import InputError
from edge.models import create_model
from edge.preprocess import PREPROCESS_VERSION
from train import _batch_norm, _trainer
from train._batches import Squares
from train._objective import Batch, Classify, Reader
from train._options import Machine, Split
from train._recipe import Recipe
from train._run import checked_plan
from train._stages import note_on, stages_of
from train._training_data import TrainingData

SIDE = 64
ALONE = {"descriptors": 0.0, "guide": 0.0, "label_smoothing": 0.0}


@pytest.mark.parametrize(
    ("model", "channels"),
    [  # as the papers' tables have the last layers of these resolutions
        ("mobilenetv3_large", (40, 112)),  # arXiv:1905.02244, table 1
        ("mnasnet", (40, 96)),  # arXiv:1807.11626, figure 7
        ("shufflenetv2", (116, 232)),  # arXiv:1807.11164, table 5
        ("efficientnet_lite0", (40, 112)),  # arXiv:1905.11946, table 1
        ("hierattn_xs", (48, 64)),  # layers 3 and 4
        ("resformer_lite", (64, 112)),  # of its encoder, not of the decoder that comes back to these
    ],
)
def test_stages_end_where_their_resolution_does(model: str, channels: tuple[int, int]) -> None:
    stages = stages_of(create_model(model, 3), SIDE)
    assert [(stage.stride, stage.channels) for stage in stages] == list(zip((8, 16), channels, strict=True))


def batch(images: Tensor) -> Batch:
    wanted = torch.eye(3)[torch.arange(len(images)) % 3]
    return Batch(images, wanted, torch.zeros(len(images), 3), torch.zeros(len(images), 0), None)


def test_early_maps_tell_the_class_and_their_gradients_go_no_further_than_there() -> None:
    torch.manual_seed(0)
    net = create_model("shufflenetv2", 3)
    names = set(net.state_dict())
    recipe = Recipe(model="shufflenetv2", stages=((SIDE, 1),), deep_supervision=0.5, **ALONE)
    learner = Classify(recipe, classes=3).learner(net)
    images = torch.randn(6, 3, SIDE, SIDE)
    plain = Classify(Recipe(model="shufflenetv2", stages=((SIDE, 1),), **ALONE), classes=3)
    together = Classify(recipe, classes=3).value(learner, batch(images))
    alone = plain.value(learner, batch(images))
    maps: list[Tensor] = []
    hooks = [part.register_forward_hook(lambda *own: maps.append(own[2])) for part in (net.stage2, net.stage3)]
    learner(images)
    for hook in hooks:
        hook.remove()
    target = torch.arange(6) % 3
    by_hand = [
        nn.functional.cross_entropy(own.mean((2, 3)) @ head.weight.T + head.bias, target).item()
        for own, head in zip(maps, learner.stages, strict=True)
    ]
    assert together.item() == pytest.approx(alone.item() + 0.5 * sum(by_hand) / 2, abs=1e-5)
    (together - alone).backward()
    assert net.conv1[0].weight.grad.abs().max() > 1e-6 and net.stage3[0].branch2[0].weight.grad.abs().max() > 1e-6
    assert set(net.state_dict()) == names  # nothing of it is in the network that is kept
    assert [head.weight.grad.abs().max() > 0 for head in learner.stages] == [True, True]


def test_only_earlier_layers_learn_from_it() -> None:
    net = create_model("mnasnet", 3)
    learner = Reader(net, 0, stages=stages_of(net, SIDE), classes=3)
    early = learner(torch.randn(4, 3, SIDE, SIDE))[3]
    assert early.shape == (2, 4, 3)
    early.square().sum().backward()
    grown = [name for name, value in net.named_parameters() if value.grad is not None]
    assert {"layers.0.weight", "layers.11.0.layers.0.weight"} <= set(grown)
    assert not any(name.startswith(("layers.12", "layers.13", "classifier")) for name in grown)


class Plain(nn.Module):
    """Whose maps of an eighth end in a normalisation, and which has none of a sixteenth."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.map, self.norm, self.classifier = nn.Conv2d(3, 4, 8, 8), nn.BatchNorm2d(4), nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.norm(self.map(x)).mean((2, 3)))


def test_synchronised_normalisation_ends_a_stage_too(tmp_path, monkeypatch) -> None:
    """torch replaces its modules, with whoever listens to them."""
    monkeypatch.setattr(
        _trainer, "synchronised", lambda net, device: _batch_norm.synchronised(net, torch.device("cuda"))
    )
    recipe = Recipe(model="mnasnet", stages=((SIDE, 1),), batch=4, deep_supervision=0.5, **ALONE)
    recipe = replace(recipe, batch_norm="synchronised")
    images, targets = np.zeros((8, 80, 80, 3), np.uint8), np.arange(8) % 2
    squares = Squares(images, targets, np.zeros(8, int))
    data = TrainingData(2, lambda side: squares, lambda side: (images, targets))
    preprocess = Preprocess(PREPROCESS_VERSION, SIDE, (0.5,) * 3, (0.5,) * 3)
    trainer = _trainer.Trainer(
        recipe, preprocess, data, folder=tmp_path, create=Plain, machine=Machine("32-true", threads=1)
    )
    assert isinstance(trainer.net.norm, nn.SyncBatchNorm)
    assert trainer.learner.eval()(torch.zeros(4, 3, SIDE, SIDE))[3].shape == (1, 4, 2)


def test_a_stage_that_a_network_lacks_is_named(tmp_path, messages) -> None:
    recipe = Recipe(model="mnasnet", stages=((SIDE, 1),), deep_supervision=0.5, **ALONE)
    checked_plan(
        recipe, Split(), Machine("32-true"), tmp_path, create=Plain, teachers=(), skip_unreadable=False, answers=False,
        preprocess=Preprocess(PREPROCESS_VERSION, SIDE, (0.5,) * 3, (0.5,) * 3), init=None, tuning=None,
    )  # fmt: skip
    assert [text for text in messages if "1/16" in text] == [
        "the network has no map of 1/16 of the side; `deep_supervision` reads the class off norm, at 1/8 of the side "
        "alone"
    ]
    assert note_on(stages_of(create_model("mnasnet", 2), SIDE)) == ""


@pytest.mark.slow(reason="trains a network to its checkpoint")
def test_the_checkpoint_has_no_early_classifier(folder_of_photographs, tmp_path) -> None:
    flags = ["--data", str(folder_of_photographs), "--out", str(tmp_path / "run"), "--deep-supervision", "0.3"]
    flags += ["--model", "mnasnet", "--stages", "32x1", "--batch", "4", "--folds", "3", "--held-back", "0.25"]
    assert main([*flags, "--precision", "32-true", "--threads", "1"]) == 0
    kept = checkpoint.load(tmp_path / "run" / "checkpoint.safetensors")
    assert kept.recipe["deep_supervision"] == 0.3
    with safe_open(kept.path, "pt") as file:
        assert set(file.keys()) == set(create_model("mnasnet", 2).state_dict())


def test_a_network_without_such_maps_is_refused_by_name(folder_of_photographs, tmp_path, capsys) -> None:
    class Flat(nn.Module):
        def __init__(self, classes: int) -> None:
            super().__init__()
            self.patches, self.classifier = nn.Conv2d(3, 4, 32, 32), nn.Linear(4, classes)

        def forward(self, x: Tensor) -> Tensor:
            return self.classifier(self.patches(x).mean((2, 3)))

    with pytest.raises(InputError, match=r"Flat has no map .* set it to 0"):
        stages_of(Flat(2), 64)
    flags = ["--data", str(folder_of_photographs), "--out", str(tmp_path / "run"), "--deep-supervision", "-1"]
    assert main(flags) == 2
    assert "--deep-supervision is between 0.0 and 100.0" in capsys.readouterr().err
