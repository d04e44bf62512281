"""HierAttn: the authors' figures, any side, and training and evaluation as one function."""

from __future__ import annotations

import importlib.util
import json
from math import sqrt
from pathlib import Path

import pytest
import torch
from torch import nn

from edge.errors import InputError
from edge.models import MODELS, PPCR, create_model, family, from_upstream
from edge.models.hierattn import Attention, MBConv, SameChannelAttention, StageBlock, StochasticDepth
from edge.models.ppcr import PLACES

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
spec = importlib.util.spec_from_file_location("upstream_rule", GOLDEN / "upstream_rule.py")
rule = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rule)

# The authors' code, counted: issue 2 and facts/models_and_data.md, part 3.
PARAMETERS = {
    ("hierattn_xs", 6): 1_078_390,
    ("hierattn_xs", 8): 1_079_928,
    ("hierattn_s", 6): 2_133_302,
    ("hierattn_s", 8): 2_135_224,
    ("hierattn_m", 6): 5_436_070,
}


def golden(name: str) -> dict:
    return json.loads((GOLDEN / f"{name}_256.json").read_text())


def authors_state(name: str, *, prefix: str = "") -> dict[str, torch.Tensor]:
    """The authors' tensors under their names, filled by the rule."""
    tensors = golden(name)["tensors"]
    return {prefix + key: torch.from_numpy(rule.fill(key, tuple(shape))) for key, shape in tensors.items()}


def golden_network(name: str, *, prefix: str = "") -> nn.Module:
    net = create_model(name).double()
    net.load_state_dict(from_upstream(name, authors_state(name, prefix=prefix)))
    return net.eval()


@pytest.fixture(scope="module")
def xs() -> nn.Module:
    """hierattn_xs in float64 with the rule's weights, in evaluation mode; a test that changes the mode puts it back."""
    return golden_network("hierattn_xs")


@pytest.fixture
def net(xs):
    yield xs
    xs.eval()


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(rule.image(seed, shape))


def test_table_is_the_families():
    """With `_ppcr` a name is that of a variant with pixel attention, in a family that has a place for it."""
    families = {family(name).__name__ for name in MODELS}
    variants = {
        model: module.rpartition(".")[2] for module in families for model in importlib.import_module(module).VARIANTS
    }
    attentive = {name: module for name, module in MODELS.items() if name.endswith(PPCR)}
    assert variants == {name: module for name, module in MODELS.items() if name not in attentive}
    assert all(variants[name.removesuffix(PPCR)] == module for name, module in attentive.items())
    assert set(attentive.values()) == set(PLACES)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", ["hierattn_xs", "hierattn_s"])
def test_golden_logits(name, prefix):
    net = golden_network(name, prefix=prefix)
    cases = golden(name)["cases"]
    assert len(cases) == 2
    for case in cases:
        with torch.inference_mode():
            logits = net(images(*case["shape"], seed=case["seed"]))
        expected = torch.tensor(case["logits"], dtype=torch.float64).reshape(logits.shape)
        assert (logits - expected).abs().max() <= 1e-9


def test_golden_notices_swapped_channels(net):
    case = golden("hierattn_xs")["cases"][0]
    with torch.inference_mode():
        logits = net(images(*case["shape"], seed=case["seed"]).flip(1))
    assert (logits - torch.tensor(case["logits"])).abs().max() > 1e-6


@pytest.mark.parametrize(("name", "classes"), PARAMETERS)
def test_parameters(name, classes):
    assert sum(p.numel() for p in create_model(name, classes).parameters()) == PARAMETERS[name, classes]


def test_six_classes_by_default():
    assert create_model("hierattn_xs").classifier.out_features == 6


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (224, 224), (96, 32)])
def test_any_multiple_of_32(net, size):
    """224 leaves an odd 7x7 map in layer 5, 32 a single pixel."""
    with torch.inference_mode():
        logits = net(images(2, 3, *size))
    assert logits.shape == (2, 6)
    assert logits.isfinite().all()


def test_layer5_map_is_odd_at_224(net):
    """An odd map goes through the next even size and back, bilinear: seen by what the attention is given."""
    seen = []
    block: StageBlock = net.layer5[1]
    hook = block.blocks.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].shape))
    with torch.inference_mode():
        net(images(1, 3, 224, 224))
        net(images(1, 3, 256, 256))
    hook.remove()
    width = block.widen.out_channels
    assert seen == [(4, 16, width), (4, 16, width)]  # four sequences of 4x4 patches of an 8x8 map, both times


@pytest.mark.parametrize("size", [(8, 8), (7, 7), (6, 10)])
def test_stage_block_by_hand(net, size):
    """The stage block against facts/models_and_data.md 3.1 written out with loops over the four places of a patch."""
    block: StageBlock = net.layer5[1]
    x = images(2, block.fuse[0].out_channels, *size)
    with torch.inference_mode():
        y = block.widen(block.local(x))
        even = [side + side % 2 for side in size]
        if even != list(size):
            y = nn.functional.interpolate(y, size=even, mode="bilinear", align_corners=False)
        places = torch.empty_like(y)
        for row in (0, 1):
            for column in (0, 1):
                part = y[:, :, row::2, column::2]
                tokens = part.flatten(2).transpose(1, 2)  # (B, N, d): one place of every patch, row by row
                places[:, :, row::2, column::2] = block.norm(block.blocks(tokens)).transpose(1, 2).reshape(part.shape)
        if even != list(size):
            places = nn.functional.interpolate(places, size=size, mode="bilinear", align_corners=False)
        expected = block.fuse(torch.cat((x, block.narrow(places)), 1))
        assert (block(x) - expected).abs().max() <= 1e-9


def test_batch_does_not_matter(net):
    batch = images(3, 3, 64, 64)
    with torch.inference_mode():
        together, alone = net(batch), torch.cat([net(image[None]) for image in batch])
    assert (together - alone).abs().max() <= 1e-9


# What training adds


def residual_blocks(net: nn.Module) -> list[MBConv]:
    return [module for module in net.modules() if isinstance(module, MBConv) and module.residual]


@pytest.mark.parametrize(("index", "probability"), [(0, 0.2 / 3), (1, 0.4 / 3), (2, 0.2)])
def test_stochastic_depth(net, index, probability):
    """The branch is there whole, scaled up, or not at all, sample by sample."""
    blocks = residual_blocks(net)
    assert len(blocks) == 3
    block, samples = blocks[index], 4000
    x = images(1, block.expand[0].in_channels, 2, 2).expand(samples, -1, -1, -1)
    torch.manual_seed(5)
    with torch.inference_mode():
        branch = block(x[:1]) - x[:1]
        block.drop.train()
        got = block(x) - x
    dropped = got.flatten(1).abs().amax(1) == 0
    kept = got[~dropped]
    assert (kept - branch / (1 - probability)).abs().max() <= 1e-9
    deviation = sqrt(probability * (1 - probability) / samples)
    assert abs(dropped.double().mean() - probability) < 4 * deviation


def test_no_other_stochastic_depth(net):
    """The stage blocks and the strided MBConvs always run."""
    active = [m for m in net.modules() if isinstance(m, StochasticDepth) and m.probability]
    assert active == [block.drop for block in residual_blocks(net)]


def test_branch_shuffle_changes_order_only(net):
    """Only the root is in training mode: the 36 positions are permuted, and no answer moves by it."""
    seen = []
    hook = net.hier.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].flatten(2)))
    x = images(2, 3, 64, 64)
    torch.manual_seed(0)
    with torch.inference_mode():
        plain = net(x)
        net.training = True
        shuffled = net(x), net(x)
    hook.remove()
    assert all((plain - logits).abs().max() <= 1e-9 for logits in shuffled)
    orders = []
    for positions in seen[1:]:
        same = (positions[0].T[:, None] == seen[0][0].T[None]).all(-1)  # (new position, old position)
        orders.append(same.double().argmax(1).tolist())
        torch.testing.assert_close(positions, seen[0][..., orders[-1]], rtol=0, atol=0)  # one order for the whole batch
    # the 1x1 pool is there twice, so that one of its two places stands for both
    assert all(len(set(order)) == 35 and order != sorted(order) for order in orders)
    assert orders[0] != orders[1], "a fresh shuffle per forward pass"


def test_fused_attention_is_the_same_function(net):
    """Training runs the fused kernel, export the written-out product: they must not be two models."""
    x = images(2, 3, 96, 64)
    with torch.inference_mode():
        explicit = net(x)
        for module in net.modules():
            if isinstance(module, Attention):
                module.training = True
        fused = net(x)
    assert (explicit - fused).abs().max() <= 1e-9


@pytest.mark.parametrize("dropout", [0.0, 0.05])
def test_a_training_step_has_the_gradients_of_the_exported_function(dropout):
    """Attention and gates take other ways in training: all gradients are those of the written-out way, in float64."""
    torch.manual_seed(0)
    net = create_model("hierattn_xs", 6).double()
    x = images(2, 3, 64, 96)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    answers, gradients = [], []
    for quick in (True, False):
        net.train()
        for module in net.modules():
            if isinstance(module, Attention | SameChannelAttention):
                module.training = quick
        net.zero_grad()
        torch.manual_seed(1)
        inputs = x.clone().requires_grad_()
        answers.append(net(inputs))
        answers[-1].square().sum().backward()
        gradients.append([inputs.grad, *(p.grad.clone() for p in net.parameters())])
    torch.testing.assert_close(*answers, rtol=0, atol=1e-12)
    for ours, exported in zip(*gradients, strict=True):
        assert (ours - exported).abs().max() <= 1e-12 * max(1, exported.abs().max())


@pytest.mark.parametrize("layer", ["attention", "gate"])
def test_bfloat16_in_training_is_as_near_to_float64(layer):
    """Answer and gradient of the quick ways, against the written-out ones in the same precision."""
    torch.manual_seed(0)
    module = Attention(64) if layer == "attention" else SameChannelAttention()
    x = torch.randn(8, 96, 64) if layer == "attention" else torch.randn(4, 16, 24, 20) + 1
    x, weight = x.bfloat16(), torch.randn(x.shape).bfloat16()
    results = []
    for dtype, quick in ((torch.float64, False), (torch.bfloat16, False), (torch.bfloat16, True)):
        inputs = x.to(dtype, copy=True).requires_grad_()
        module.to(dtype if dtype == torch.float64 else torch.float32).train(quick)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            answer = module(inputs)
        answer.backward(weight.to(answer.dtype))
        results.append((answer.detach().double(), inputs.grad.double()))
    for exact, plain, ours in zip(*results, strict=True):
        assert (ours - exact).norm() <= 1.2 * (plain - exact).norm()


def test_attention_by_hand(net):
    """softmax(q k^T / sqrt(d/4)) v per head, against loops."""
    attention: Attention = net.layer3[1].blocks[0].attention
    width = attention.out.in_features
    x = images(1, 5, width)
    with torch.inference_mode():
        q, k, v = (attention.qkv(x)[0, :, i * width : (i + 1) * width] for i in range(3))
        heads = []
        for head in range(4):
            part = slice(head * width // 4, (head + 1) * width // 4)
            weights = torch.exp(q[:, part] @ k[:, part].T / sqrt(width / 4))
            heads.append(weights / weights.sum(1, keepdim=True) @ v[:, part])
        expected = attention.out(torch.cat(heads, 1))
        assert (attention(x)[0] - expected).abs().max() <= 1e-9


def test_training_reaches_every_parameter(rng):
    torch.manual_seed(0)
    net = create_model("hierattn_xs", 3).train()
    net(torch.from_numpy(rng.random((4, 3, 32, 32), dtype="float32"))).square().sum().backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().any()]
    # the bias before a softmax over keys cannot be seen in the answer; every other tensor must learn
    assert not [name for name in still if not name.endswith("qkv.bias")]


# Bad input


@pytest.mark.parametrize("name", ["hierattn", "HierAttn_xs", ""])
def test_unknown_model_lists_the_known(name):
    for build in (lambda: create_model(name), lambda: from_upstream(name, {})):
        with pytest.raises(InputError, match="unknown model") as caught:
            build()
        assert all(known in str(caught.value) for known in MODELS)


@pytest.mark.parametrize("classes", [1, 0, -3])
def test_too_few_classes(classes):
    with pytest.raises(InputError, match="at least 2 classes"):
        create_model("hierattn_xs", classes)


def test_upstream_missing_tensor():
    state = authors_state("hierattn_xs")
    del state["Layer3.1.GlobalRep.0.Layers.0.0.1.toQKV.weight"]
    with pytest.raises(InputError, match=r"1 tensors missing, first layer3\.1\.blocks\.0\.attention\.qkv\.weight"):
        from_upstream("hierattn_xs", state)


def test_upstream_left_over_tensor():
    with pytest.raises(InputError, match=r"1 tensors left over, first Decoder\.weight"):
        from_upstream("hierattn_xs", authors_state("hierattn_xs") | {"Decoder.weight": torch.zeros(1)})


def test_upstream_wrong_shape():
    state = authors_state("hierattn_xs")
    state["Conv1.Conv.weight"] = torch.zeros(16, 1, 3, 3)
    with pytest.raises(InputError, match=r"stem\.0\.weight is \(16, 1, 3, 3\), expected \(16, 3, 3, 3\)"):
        from_upstream("hierattn_xs", state)


def test_upstream_of_another_size():
    with pytest.raises(InputError, match="do not fit hierattn_s"):
        from_upstream("hierattn_s", authors_state("hierattn_xs"))


def test_upstream_of_something_else():
    with pytest.raises(InputError, match="no final linear layer"):
        from_upstream("hierattn_xs", {"conv1.weight": torch.zeros(3)})


def test_upstream_keeps_values_and_any_class_count():
    state = authors_state("hierattn_xs")
    state["Classifier.fc.weight"], state["Classifier.fc.bias"] = torch.ones(9, 768), torch.arange(9.0)
    ours = from_upstream("hierattn_xs", state)
    assert ours["classifier.bias"].tolist() == list(range(9))
    assert list(ours) == list(create_model("hierattn_xs", 9).state_dict())
    assert sorted(float(v.double().sum()) for v in ours.values()) == sorted(
        float(v.double().sum()) for v in state.values()
    )
