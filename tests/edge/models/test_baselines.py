"""The baselines: published sizes, and published files that give the answers they were trained to give.

torchvision is not needed: what its five networks compute is written out here, over tensors under its names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dermedge.commands.import_upstream import main as import_upstream
from edge.errors import InputError
from edge.models import MODELS, create_model, from_upstream, normalisation

# With 8 classes as the HierAttn paper's table rounds them (facts/models_and_data.md, part 3), and with the 1000 of
# ImageNet as torchvision's documentation counts them. The table's 2.28 M of ShuffleNetV2 is the count with 1000.
PARAMETERS = {
    ("mobilenetv2", 8): 2_234_120,
    ("mobilenetv2", 6): 2_231_558,
    ("mobilenetv2", 1000): 3_504_872,
    ("mobilenetv2_tf", 8): 2_234_120,
    ("mobilenetv3_large", 8): 4_212_280,
    ("mobilenetv3_large", 6): 4_209_718,
    ("mobilenetv3_large", 1000): 5_483_032,
    ("shufflenetv2", 8): 1_261_804,
    ("shufflenetv2", 1000): 2_278_604,
    ("mnasnet", 8): 3_112_560,
    ("mnasnet", 1000): 4_383_312,
    ("efficientnet_b0", 8): 4_017_796,
    ("efficientnet_b0", 6): 4_015_234,
    ("efficientnet_b0", 1000): 5_288_548,
    ("efficientnet_b0_tf", 8): 4_017_796,
    ("mobilevit_s", 8): 4_942_760,
    ("mobilevit_s", 1000): 5_578_632,
}
BASELINES = tuple(dict.fromkeys(name for name, _ in PARAMETERS))


@pytest.mark.parametrize(("name", "classes"), PARAMETERS)
def test_parameters(name, classes):
    assert sum(p.numel() for p in create_model(name, classes).parameters()) == PARAMETERS[name, classes]


@pytest.fixture(scope="module", params=BASELINES)
def network(request) -> nn.Module:
    """A network in float64 whose batch norms have seen something, in evaluation mode."""
    torch.manual_seed(0)
    net = create_model(request.param, 3).double()
    for norm in layers_of(nn.BatchNorm2d, net):
        norm.momentum = 1.0  # the statistics of one batch
    with torch.no_grad():
        net.train()(torch.rand(6, 3, 64, 64, dtype=torch.float64) * torch.rand(6, 3, 1, 1, dtype=torch.float64))
    return net.eval()


def pictures(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_any_side_and_any_batch(network):
    with torch.inference_mode():
        for size in ((64, 64), (96, 96), (32, 64)):
            logits = network(pictures(2, 3, *size))
            assert logits.shape == (2, 3) and logits.isfinite().all()
        batch = pictures(3, 3, 64, 64)
        together, alone = network(batch), torch.cat([network(image[None]) for image in batch])
        assert (together - alone).abs().max() <= 1e-9 * max(1.0, float(together.abs().max()))
        assert (network(batch) == together).all()  # nothing is drawn at random in evaluation
        assert (together - together[:1]).abs().max() > 1e-3  # answers depend on the picture


@pytest.mark.parametrize("name", BASELINES)
def test_training_reaches_every_parameter(name):
    net = create_model(name, 3).train()
    net(pictures(4, 3, 64, 64).float()).square().sum().backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not still


@pytest.mark.parametrize("name", BASELINES)
def test_a_first_step_is_not_lost(name):
    """Activations neither vanish nor explode at the start; statistics move by a tenth a batch (TensorFlow: 0.997)."""
    torch.manual_seed(0)
    net = create_model(name, 6).train()
    logits = net(pictures(8, 3, 64, 64).float())
    assert 1e-3 < logits.std() < 30
    assert {m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


# torchvision's networks over torchvision's names


class Theirs:
    """Layers by name; a tensor that is asked for the first time is drawn and kept under torchvision's name."""

    def __init__(self, epsilon: float = 1e-5) -> None:
        self.state: dict[str, Tensor] = {}
        self.epsilon, self.generator = epsilon, torch.Generator().manual_seed(3)

    def tensor(self, name: str, *shape: int) -> Tensor:
        if name not in self.state:
            scale = 0.7 * (2 / max(1, torch.Size(shape[1:]).numel())) ** 0.5 if len(shape) > 1 else 0.2
            self.state[name] = scale * torch.randn(*shape, generator=self.generator, dtype=torch.float64)
        return self.state[name]

    def conv(self, x: Tensor, name: str, outputs: int, kernel: int = 1, stride: int = 1, *, depthwise: bool = False,
             bias: bool = False) -> Tensor:  # fmt: skip
        inputs = x.shape[1]
        weight = self.tensor(f"{name}.weight", outputs, 1 if depthwise else inputs, kernel, kernel)
        given = self.tensor(f"{name}.bias", outputs) if bias else None
        return F.conv2d(x, weight, given, stride, kernel // 2, groups=inputs if depthwise else 1)

    def norm(self, x: Tensor, name: str) -> Tensor:
        for part in ("weight", "running_var"):
            if f"{name}.{part}" not in self.state:
                self.state[f"{name}.{part}"] = 0.8 + 0.4 * torch.rand(
                    x.shape[1], generator=self.generator, dtype=torch.float64
                )
        self.state.setdefault(f"{name}.num_batches_tracked", torch.tensor(7))
        mean, var = self.tensor(f"{name}.running_mean", x.shape[1]), self.state[f"{name}.running_var"]
        weight, bias = self.state[f"{name}.weight"], self.tensor(f"{name}.bias", x.shape[1])
        shape = (1, -1, 1, 1)
        return (x - mean.view(shape)) / (var + self.epsilon).sqrt().view(shape) * weight.view(shape) + bias.view(shape)

    def linear(self, x: Tensor, name: str, outputs: int) -> Tensor:
        return x @ self.tensor(f"{name}.weight", outputs, x.shape[1]).T + self.tensor(f"{name}.bias", outputs)

    def unit(self, x: Tensor, name: str, outputs: int, kernel: int = 1, stride: int = 1, *, act: Callable | None,
             depthwise: bool = False) -> Tensor:  # fmt: skip
        """Conv2dNormActivation: `.0` and `.1`."""
        x = self.norm(self.conv(x, f"{name}.0", outputs, kernel, stride, depthwise=depthwise), f"{name}.1")
        return act(x) if act else x

    def squeeze(self, x: Tensor, name: str, squeezed: int, act: Callable, gate: Callable) -> Tensor:
        y = act(self.conv(x.mean((2, 3), keepdim=True), f"{name}.fc1", squeezed, bias=True))
        return x * gate(self.conv(y, f"{name}.fc2", x.shape[1], bias=True))


def relu6(x: Tensor) -> Tensor:
    return x.clamp(0, 6)


def hard_swish(x: Tensor) -> Tensor:
    return x * relu6(x + 3) / 6


def hard_sigmoid(x: Tensor) -> Tensor:
    return relu6(x + 3) / 6


def silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def relu(x: Tensor) -> Tensor:
    return x.clamp(min=0)


def mobilenet_v2(t: Theirs, x: Tensor, classes: int) -> Tensor:
    x = t.unit(x, "features.0", 32, 3, 2, act=relu6)
    place = 1
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, outputs, blocks, stride in table:
        for number in range(blocks):
            name, y, at = f"features.{place}.conv", x, 0
            if expansion > 1:
                y, at = t.unit(y, f"{name}.0", expansion * x.shape[1], act=relu6), 1
            y = t.unit(y, f"{name}.{at}", y.shape[1], 3, 1 if number else stride, act=relu6, depthwise=True)
            y = t.norm(t.conv(y, f"{name}.{at + 1}", outputs), f"{name}.{at + 2}")
            x, place = x + y if y.shape == x.shape else y, place + 1
    x = t.unit(x, f"features.{place}", 1280, act=relu6)
    return t.linear(x.mean((2, 3)), "classifier.1", classes)


def mobilenet_v3_large(t: Theirs, x: Tensor, classes: int) -> Tensor:
    t.epsilon = 1e-3
    x = t.unit(x, "features.0", 16, 3, 2, act=hard_swish)
    table = (  # kernel, expanded, outputs, squeeze, hard-swish, stride: table 1 of the paper
        (3, 16, 16, 0, 0, 1), (3, 64, 24, 0, 0, 2), (3, 72, 24, 0, 0, 1), (5, 72, 40, 1, 0, 2), (5, 120, 40, 1, 0, 1),
        (5, 120, 40, 1, 0, 1), (3, 240, 80, 0, 1, 2), (3, 200, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1),
        (3, 184, 80, 0, 1, 1), (3, 480, 112, 1, 1, 1), (3, 672, 112, 1, 1, 1), (5, 672, 160, 1, 1, 2),
        (5, 960, 160, 1, 1, 1), (5, 960, 160, 1, 1, 1),
    )  # fmt: skip
    for place, (kernel, expanded, outputs, squeeze, swish, stride) in enumerate(table, start=1):
        name, act, y, at = f"features.{place}.block", hard_swish if swish else relu, x, 0
        if expanded != x.shape[1]:
            y, at = t.unit(y, f"{name}.0", expanded, act=act), 1
        y, at = t.unit(y, f"{name}.{at}", expanded, kernel, stride, act=act, depthwise=True), at + 1
        if squeeze:
            quarter = expanded // 4
            squeezed = max(8, (quarter + 4) // 8 * 8)
            squeezed += 8 * (squeezed < 0.9 * quarter)
            y, at = t.squeeze(y, f"{name}.{at}", squeezed, relu, hard_sigmoid), at + 1
        y = t.unit(y, f"{name}.{at}", outputs, act=None)
        x = x + y if y.shape == x.shape else y
    x = t.unit(x, "features.16", 960, act=hard_swish).mean((2, 3))
    return t.linear(hard_swish(t.linear(x, "classifier.0", 1280)), "classifier.3", classes)


def shufflenet_v2_x1_0(t: Theirs, x: Tensor, classes: int) -> Tensor:
    def pointwise(x: Tensor, name: str, at: int, outputs: int) -> Tensor:
        return relu(t.norm(t.conv(x, f"{name}.{at}", outputs), f"{name}.{at + 1}"))

    def depthwise(x: Tensor, name: str, at: int, stride: int) -> Tensor:
        return t.norm(t.conv(x, f"{name}.{at}", x.shape[1], 3, stride, depthwise=True), f"{name}.{at + 1}")

    x = relu(t.norm(t.conv(x, "conv1.0", 24, 3, 2), "conv1.1"))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, (outputs, blocks) in enumerate(((116, 4), (232, 8), (464, 4)), start=2):
        for number in range(blocks):
            name, half, stride = f"stage{stage}.{number}", outputs // 2, 1 if number else 2
            a, b = (x[:, :half], x[:, half:]) if number else (x, x)
            if not number:
                a = pointwise(depthwise(a, f"{name}.branch1", 0, 2), f"{name}.branch1", 2, half)
            b = pointwise(b, f"{name}.branch2", 0, half)
            b = pointwise(depthwise(b, f"{name}.branch2", 3, stride), f"{name}.branch2", 5, half)
            x = torch.stack([part for pair in zip(a.unbind(1), b.unbind(1), strict=True) for part in pair], 1)
    x = pointwise(x, "conv5", 0, 1024)
    return t.linear(x.mean((2, 3)), "fc", classes)


def mnasnet1_0(t: Theirs, x: Tensor, classes: int) -> Tensor:
    def unit(x: Tensor, name: str, at: int, outputs: int, kernel: int = 1, stride: int = 1, **kind: bool) -> Tensor:
        return relu(t.norm(t.conv(x, f"{name}.{at}", outputs, kernel, stride, **kind), f"{name}.{at + 1}"))

    x = unit(unit(x, "layers", 0, 32, 3, 2), "layers", 3, 32, 3, depthwise=True)
    x = t.norm(t.conv(x, "layers.6", 16), "layers.7")
    table = (
        (24, 3, 2, 3, 3),
        (40, 5, 2, 3, 3),
        (80, 5, 2, 6, 3),
        (96, 3, 1, 6, 2),
        (192, 5, 2, 6, 4),
        (320, 3, 1, 6, 1),
    )
    for place, (outputs, kernel, stride, expansion, blocks) in enumerate(table, start=8):
        for number in range(blocks):
            name = f"layers.{place}.{number}.layers"
            y = unit(x, name, 0, expansion * x.shape[1])
            y = unit(y, name, 3, y.shape[1], kernel, 1 if number else stride, depthwise=True)
            y = t.norm(t.conv(y, f"{name}.6", outputs), f"{name}.7")
            x = x + y if y.shape == x.shape else y
    return t.linear(unit(x, "layers", 14, 1280).mean((2, 3)), "classifier.1", classes)


def efficientnet_b0(t: Theirs, x: Tensor, classes: int) -> Tensor:
    x = t.unit(x, "features.0", 32, 3, 2, act=silu)
    table = (
        (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    )  # fmt: skip
    for stage, (expansion, kernel, stride, outputs, blocks) in enumerate(table, start=1):
        for number in range(blocks):
            name, y, at = f"features.{stage}.{number}.block", x, 0
            if expansion > 1:
                y, at = t.unit(y, f"{name}.0", expansion * x.shape[1], act=silu), 1
            y = t.unit(y, f"{name}.{at}", y.shape[1], kernel, 1 if number else stride, act=silu, depthwise=True)
            y = t.squeeze(y, f"{name}.{at + 1}", x.shape[1] // 4, silu, torch.sigmoid)
            y = t.unit(y, f"{name}.{at + 2}", outputs, act=None)
            x = x + y if y.shape == x.shape else y
    return t.linear(t.unit(x, "features.8", 1280, act=silu).mean((2, 3)), "classifier.1", classes)


TORCHVISION = {
    "mobilenetv2": mobilenet_v2,
    "mobilenetv3_large": mobilenet_v3_large,
    "shufflenetv2": shufflenet_v2_x1_0,
    "mnasnet": mnasnet1_0,
    "efficientnet_b0": efficientnet_b0,
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_files_give_torchvisions_answers(name):
    theirs, x, classes = Theirs(), pictures(2, 3, 96, 64), 1000
    expected = TORCHVISION[name](theirs, x, classes)
    net = create_model(name, classes).double()
    net.load_state_dict(from_upstream(name, theirs.state))
    with torch.inference_mode():
        found = net.eval()(x)
    assert expected.std() > 1e-2
    assert (found - expected).abs().max() <= 1e-9 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("name", TORCHVISION)
def test_counts_of_batches_may_be_missing(name):
    theirs = Theirs()
    TORCHVISION[name](theirs, pictures(1, 3, 32, 32), 4)
    state = {key: value for key, value in theirs.state.items() if not key.endswith("num_batches_tracked")}
    assert from_upstream(name, state).keys() == create_model(name, 4).state_dict().keys()


# transformers' networks as their hub has them


def from_the_hub(name: str, classes: int) -> nn.Module:
    import transformers as hf

    b0 = {"width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280}
    build = {
        "mobilenetv2_tf": lambda: hf.MobileNetV2ForImageClassification(hf.MobileNetV2Config(num_labels=classes)),
        "efficientnet_b0_tf": lambda: hf.EfficientNetForImageClassification(
            hf.EfficientNetConfig(num_labels=classes, **b0)
        ),
        "mobilevit_s": lambda: hf.MobileViTForImageClassification(hf.MobileViTConfig(num_labels=classes)),
    }[name]
    torch.manual_seed(1)
    net = build()
    for part in net.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            part.reset_parameters()
        if isinstance(part, nn.BatchNorm2d):
            part.weight.data.uniform_(0.8, 1.2)
            part.bias.data.normal_(0, 0.2)
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.3, 0.6)
    return net.double().eval()


@pytest.mark.parametrize(
    ("name", "classes"), [("mobilenetv2_tf", 1001), ("efficientnet_b0_tf", 1000), ("mobilevit_s", 7)]
)
def test_the_hubs_files_give_the_hubs_answers(name, classes):
    theirs, x = from_the_hub(name, classes), pictures(2, 3, 96, 64)
    ours = create_model(name, classes).double()
    ours.load_state_dict(from_upstream(name, theirs.state_dict()))
    with torch.inference_mode():
        expected = theirs(x.flip(1) if name == "mobilevit_s" else x).logits  # their MobileViT takes BGR
        found = ours.eval()(x)
    assert expected.std() > 1e-2
    assert (found - expected).abs().max() <= 1e-9


def test_padding_of_tensorflow_is_another_network():
    """The same weights, another answer: that is why there are two."""
    theirs, x = from_the_hub("mobilenetv2_tf", 4), pictures(2, 3, 64, 64)
    ours = [create_model(name, 4).double().eval() for name in ("mobilenetv2_tf", "mobilenetv2")]
    for net in ours:
        net.load_state_dict(from_upstream("mobilenetv2_tf", theirs.state_dict()))
    with torch.inference_mode():
        a, b = (net(x) for net in ours)
    assert (a - b).abs().max() > 1e-3
    with pytest.raises(InputError, match="give `model` mobilenetv2_tf"):
        from_upstream("mobilenetv2", theirs.state_dict())


# The commands around them


def test_a_published_file_becomes_a_checkpoint_with_its_colours(tmp_path):
    from edge.checkpoint import load

    theirs = Theirs()
    shufflenet_v2_x1_0(theirs, pictures(1, 3, 32, 32), 1000)
    torch.save({key: value.float() if value.is_floating_point() else value for key, value in theirs.state.items()},
               tmp_path / "shufflenetv2_x1-5666bf0f80.pth")  # fmt: skip
    out = tmp_path / "imagenet"
    arguments = ["--model", "shufflenetv2", str(tmp_path / "shufflenetv2_x1-5666bf0f80.pth"), "--out", str(out)]
    assert import_upstream(arguments) == 0
    held = load(out)
    assert len(held.labels) == 1000
    assert (held.preprocess.mean, held.preprocess.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_normalisation(name):
    mean, std = normalisation(name)
    assert len(mean) == len(std) == 3 and all(0 <= m < 1 for m in mean) and all(0 < s <= 1 for s in std)


def test_a_family_without_published_weights_says_so(monkeypatch):
    from edge.models import mnasnet

    monkeypatch.delattr(mnasnet, "from_upstream")
    with pytest.raises(InputError, match="no published weights of mnasnet"):
        from_upstream("mnasnet", {})


@pytest.mark.parametrize("name", [name for name in BASELINES if name not in TORCHVISION or name.startswith("eff")])
def test_without_transformers_there_is_advice(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"transformers.*pip install"):
        create_model(name)


def layers_of(kind: type[nn.Module], net: nn.Module) -> Iterator[nn.Module]:
    return (part for part in net.modules() if isinstance(part, kind))


def test_efficientnet_drops_whole_samples():
    from edge.models.layers import StochasticDepth

    net = create_model("efficientnet_b0")
    chances = [part.probability for part in layers_of(StochasticDepth, net)]
    assert len(chances) == 16 and chances == sorted(chances) and chances[0] == 0 and chances[-1] == 0.2 * 15 / 16
    assert [part.p for part in layers_of(nn.Dropout, net)] == [0.2]
