"""Deep supervision: earlier stages learn the class too, and nothing of it stays in the network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dermedge.commands.train import main
from edge.errors import InputError
from edge.models import create_model
from train._objective import Batch, Classify, Reader
from train._recipe import Recipe
from train._stages import stages_of

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
