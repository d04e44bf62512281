"""EfficientNet-Lite: the network of the package that published its weights, and those weights on photographs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from edge.checkpoint import Checkpoint, Preprocess
from edge.labels import PAD_UFES_20
from edge.models import create_model, from_upstream, normalisation
from edge.models.efficientnet_lite import SameConv2d
from edge.models.layers import StochasticDepth
from edge.preprocess import to_input
from edge.pretrained import PACKAGES, imagenet_file
from edge.weight_files import read_foreign

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
spec = importlib.util.spec_from_file_location("upstream_rule", GOLDEN / "upstream_rule.py")
rule = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rule)

MODELS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
# With ImageNet's 1000 classes: the 4.7, 5.4 and 6.1 M of the table that TensorFlow's authors published.
PARAMETERS = {"efficientnet_lite0": 4_652_008, "efficientnet_lite1": 5_416_680, "efficientnet_lite2": 6_092_072}
PALACE, MILITARY_UNIFORM = 698, 652  # of ImageNet's classes, counted from 0


def golden(name: str) -> dict:
    return json.loads((GOLDEN / "efficientnet_lite.json").read_text())["models"][name]


def their_state(name: str) -> dict[str, Tensor]:
    """The package's tensors under their names, filled by the rule, without the counts of batches."""
    return {key: torch.from_numpy(rule.fill(key, tuple(shape))) for key, shape in golden(name)["tensors"].items()}


@pytest.mark.parametrize("name", MODELS)
def test_the_answers_of_the_packages_network(name):
    """At 240 and 260 pixels some strided convolutions see a map of an odd side, which SAME pads on both sides."""
    case = golden(name)
    net = create_model(name, 6).double().eval()
    net.load_state_dict(from_upstream(name, their_state(name)))
    assert sum(p.numel() for p in net.parameters()) == case["parameters"]
    pixels = (torch.from_numpy(rule.image(case["seed"], (1, 3, case["side"], case["side"]))) - 0.5) * 4
    with torch.inference_mode():
        logits = net(pixels)[0]
    expected = torch.tensor(case["logits"], dtype=torch.float64)
    assert expected.std() > 0.01
    assert (logits - expected).abs().max() <= 1e-9


@pytest.mark.parametrize("name", MODELS)
def test_parameters(name):
    assert sum(p.numel() for p in create_model(name, 1000).parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", MODELS)
def test_the_package_itself(name):
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="compares with efficientnet-lite-pytorch 0.1.0")
    torch.manual_seed(3)
    theirs = package.EfficientNet.from_name(name.replace("_lite", "-lite"), num_classes=9).eval()
    for part in theirs.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 1.5)
    ours = create_model(name, 9).eval()
    ours.load_state_dict(from_upstream(name, theirs.state_dict()))
    side = golden(name)["side"]
    pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        expected, found = theirs(pixels), ours(pixels)
    assert expected.std() > 1e-3
    assert (found - expected).abs().max() <= 1e-5 * float(expected.abs().max())


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("side", range(7, 13))
def test_same_padding_is_that_of_tensorflow(kernel, side):
    """TensorFlow's rule: ceil(side / stride) places; of an odd number of padded pixels more go behind than before."""
    torch.manual_seed(0)
    layer = SameConv2d(1, 1, kernel, stride=2).double()
    line = torch.randn(side, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, kernel // 2] = torch.arange(1.0, kernel + 1)  # along x alone, of the row in the middle
        found = layer(line.expand(side, side)[None, None])[0, 0, 1]
    places = -(-side // 2)
    before = max((places - 1) * 2 + kernel - side, 0) // 2
    expected = [
        sum((tap + 1) * line[x] for tap in range(kernel) if 0 <= (x := 2 * place - before + tap) < side)
        for place in range(places)
    ]
    assert (found - torch.stack(expected)).abs().max() <= 1e-12


def test_normalisation_is_x_less_127_over_128():
    """Exactly, in the float32 arithmetic of the exported graph."""
    mean, std = normalisation("efficientnet_lite0")
    net = nn.Flatten(1)
    held = Checkpoint("efficientnet_lite0", PAD_UFES_20, Preprocess("v", 32, mean, std), {}, live=net)
    deployed = held.deployed(layout="NCHW")
    assert deployed.mean.unique().tolist() == [127.0] and deployed.std.unique().tolist() == [128.0]


def test_it_is_made_for_whole_integers():
    """No gate, no activation but ReLU6: every value of a map is within 0..6 or a sum of products."""
    kinds = {type(part) for part in create_model("efficientnet_lite2").modules() if not list(part.children())}
    assert kinds - {StochasticDepth, nn.Dropout, nn.Sequential} == {SameConv2d, nn.BatchNorm2d, nn.ReLU6, nn.Linear}


def test_stochastic_depth_grows_with_the_place():
    net = create_model("efficientnet_lite0")
    chances = [block.drop.probability for block in net.blocks if block.residual]
    assert len(net.blocks) == 16 and chances == sorted(chances)
    assert chances[-1] == pytest.approx(0.2 * 14 / 16)


@pytest.mark.parametrize("name", MODELS)
def test_imagenet_weights_know_photographs(name):
    """Of two photographs that scikit-learn and matplotlib ship: the Summer Palace, and an officer in uniform."""
    package = PACKAGES[name]
    if importlib.util.find_spec(package.module) is None:
        pytest.skip(f"{package.distribution} is not installed")
    import matplotlib
    import sklearn.datasets

    net = create_model(name, 1000).eval()
    net.load_state_dict(from_upstream(name, read_foreign(imagenet_file(name))))
    china = Path(sklearn.datasets.__file__).parent / "images" / "china.jpg"
    officer = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    side = golden(name)["side"]
    assert best(net, china, side)[0] == PALACE
    assert MILITARY_UNIFORM in best(net, officer, side)


def best(net: nn.Module, photograph: Path, side: int) -> list[int]:
    """The first five classes for the middle of a photograph."""
    with Image.open(photograph) as image:
        pixels = to_input(np.asarray(image.convert("RGB")), side)
    mean, std = (torch.tensor(part)[:, None, None] for part in normalisation("efficientnet_lite0"))
    x = (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - mean) / std
    with torch.inference_mode():
        return net(x[None])[0].topk(5).indices.tolist()
