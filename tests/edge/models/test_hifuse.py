"""HiFuse: the authors' figures at every depth, their state dicts, and windows on maps that windows do not divide."""

from __future__ import annotations

import importlib.util
import json
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge.errors import InputError
from edge.models import create_model, from_upstream, hifuse
from edge.models.hierattn import StochasticDepth
from edge.models.hifuse import VARIANTS, Config, GlobalBlock, HiFuse, apart, offsets

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
spec = importlib.util.spec_from_file_location("upstream_rule", GOLDEN / "upstream_rule.py")
rule = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rule)

FILES = {"hifuse_tiny": "hifuse_tiny_depthwise_224", "hifuse_tiny_released": "hifuse_tiny_released_224"}
CLASSES = 7


def golden(name: str) -> dict:
    return json.loads((GOLDEN / f"{FILES[name]}.json").read_text())


def authors_state(name: str) -> dict[str, torch.Tensor]:
    """The authors' tensors under their names, filled by the rule."""
    return {key: torch.from_numpy(rule.fill(key, tuple(shape))) for key, shape in golden(name)["tensors"].items()}


def golden_network(name: str) -> nn.Module:
    net = create_model(name, CLASSES).double()
    net.load_state_dict(from_upstream(name, authors_state(name)))
    return net.eval()


@pytest.fixture(scope="module")
def tiny() -> nn.Module:
    """hifuse_tiny in float64 with the rule's weights, in evaluation mode."""
    return golden_network("hifuse_tiny")


def without_weights(name: str, drop: float = 0.0) -> HiFuse:
    """The network without memory for its weights: names and shapes only."""
    with torch.device("meta"):
        return HiFuse(Config(VARIANTS[name].depths, VARIANTS[name].depthwise, drop), CLASSES)


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(rule.image(seed, shape))


def assert_golden(net: nn.Module, name: str) -> None:
    cases = golden(name)["cases"]
    assert len(cases) == 2
    for case in cases:
        with torch.inference_mode():
            logits = net(images(*case["shape"], seed=case["seed"]))
        expected = torch.tensor(case["logits"], dtype=torch.float64).reshape(logits.shape)
        assert (logits - expected).abs().max() <= 1e-9


def test_golden_logits(tiny):
    assert_golden(tiny, "hifuse_tiny")


@pytest.mark.slow(reason="a network of 120 million parameters")
def test_golden_logits_as_released():
    assert_golden(golden_network("hifuse_tiny_released"), "hifuse_tiny_released")


@pytest.mark.parametrize(("name", "parameters"), [("hifuse_tiny", 56_277_000), ("hifuse_tiny_released", 119_690_280)])
def test_parameters(name, parameters):
    assert golden(name)["parameters"] == parameters
    assert sum(p.numel() for p in without_weights(name).parameters()) == parameters


@pytest.mark.parametrize(("name", "millions"), [("hifuse_small_released", 123.27), ("hifuse_base_released", 134.01)])
def test_parameters_of_the_deeper_as_measured(name, millions):
    """facts/models_and_data.md, part 4: the authors' code, counted."""
    assert round(sum(p.numel() for p in without_weights(name).parameters()) / 1e6, 2) == millions


# The authors' weights, at every depth


def deeper(name: str, depth: int) -> dict[str, torch.Tensor]:
    """Names and shapes of the authors' state dict with `depth` blocks in the third stage, made from the golden tiny."""
    state = {}
    for key, shape in golden(name)["tensors"].items():
        state[key] = torch.empty(shape, device="meta")
        for stem in ("stages.2.1.", "layers3.blocks.1."):
            if key.startswith(stem):
                for block in range(2, depth):
                    state[key.replace(stem, f"{stem[:-2]}{block}.")] = torch.empty(shape, device="meta")
    return state


@pytest.mark.parametrize(("size", "depth"), [("tiny", 2), ("small", 6), ("base", 18)])
@pytest.mark.parametrize("suffix", ["", "_released"])
def test_names_map_one_to_one(size, depth, suffix):
    theirs = deeper(f"hifuse_tiny{suffix}", depth)
    ours = hifuse.from_upstream(theirs)
    expected = without_weights(f"hifuse_{size}{suffix}").state_dict()
    assert len(ours) == len(theirs)
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in expected.items()}


def test_block_numbers_stay():
    names = {f"layers3.blocks.{k}.attn.qkv.bias": f"context.2.blocks.{k}.attention.qkv.bias" for k in (0, 9, 10, 17)}
    names |= {f"stages.2.{k}.pwconv.bias": f"local.2.blocks.{k}.linear.bias" for k in (0, 9, 10, 17)}
    names |= {f"layers3.blocks.{k}.norm1.bias": f"context.2.blocks.{k}.norm.bias" for k in (1, 11)}
    ours = hifuse.from_upstream({key: torch.zeros(0) for key in names})
    assert list(ours) == list(names.values())


def test_every_second_block_shifts():
    net = without_weights("hifuse_base")
    assert [[block.shift for block in stage.blocks] for stage in net.context] == [[0, 3], [0, 3], [0, 3] * 9, [0, 3]]


def test_index_tables_of_the_authors_are_checked_and_not_kept():
    key = "layers3.blocks.1.attn.relative_position_index"
    state = deeper("hifuse_tiny", 2)
    rows = [[(a // 7 - b // 7 + 6) * 13 + a % 7 - b % 7 + 6 for b in range(49)] for a in range(49)]
    assert hifuse.from_upstream(state | {key: torch.tensor(rows)}).keys() == hifuse.from_upstream(state).keys()
    with pytest.raises(InputError, match="window of 7 x 7"):
        hifuse.from_upstream(state | {key: torch.zeros(64, 64, dtype=torch.int64)})


def test_another_size_is_refused(tiny):
    with pytest.raises(InputError, match=r"do not fit hifuse_small: .*context\.2\.blocks\.2"):
        from_upstream(
            "hifuse_small", {key: torch.zeros(shape) for key, shape in golden("hifuse_tiny")["tensors"].items()}
        )


# Windows


@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("size", [(7, 7), (14, 7), (8, 10), (2, 3)])
def test_attention_by_hand(tiny, size, shift):
    """Two places see each other if they share a window and no edge lies between; filled-up places are not there."""
    block: GlobalBlock = tiny.context[0].blocks[1]
    x = images(1, *size, 96)
    whole = [-(-side // 7) * 7 for side in size]
    places = [(row, column) for row in range(size[0]) for column in range(size[1])]
    rolled = [[(at - shift) % side for at, side in zip(place, whole, strict=True)] for place in places]
    attention, before = block.attention, block.shift
    with torch.inference_mode():
        q, k, v = attention.qkv(block.norm(x))[0].reshape(-1, 3, 3, 32).permute(1, 2, 0, 3)  # heads, places, 32
        scores = torch.full((3, len(places), len(places)), -torch.inf, dtype=torch.float64)
        for a in range(len(places)):
            for b in range(len(places)):
                apart_now = [rolled[a][axis] - rolled[b][axis] for axis in (0, 1)]
                together = [rolled[a][axis] // 7 == rolled[b][axis] // 7 for axis in (0, 1)]
                if all(together) and apart_now == [places[a][axis] - places[b][axis] for axis in (0, 1)]:
                    bias = attention.table[(apart_now[0] + 6) * 13 + apart_now[1] + 6]
                    scores[:, a, b] = (q[:, a] * k[:, b]).sum(-1) / sqrt(32) + bias
        y = attention.out((scores.softmax(-1) @ v).transpose(0, 1).reshape(1, *size, 96))
        expected = x + nn.functional.gelu(block.linear(y))
        block.shift = shift
        found = block(x)
        block.shift = before
    assert (found - expected).abs().max() <= 1e-9


def test_the_last_map_has_four_regions():
    mask = apart(7, 7, 7, 3)
    assert mask.shape == (1, 1, 49, 49)
    assert len(np.unique(mask[0, 0], axis=0)) == 4
    assert apart(56, 56, 7, 0) is None


def test_far_places_share_the_outermost_bias():
    table = offsets(3, 9, 4)
    assert table.max() == 8 * 9 - 2 * 9 + 8  # two rows down, four columns and more to the right
    assert table[0, 4] == table[0, 8] != table[0, 3]


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_any_multiple_of_32(tiny, size):
    with torch.inference_mode():
        batch = images(2, 3, *size)
        logits = tiny(batch)
        assert (logits[1] - tiny(batch[1:])[0]).abs().max() <= 1e-9
    assert logits.shape == (2, CLASSES)


# Training


def test_stochastic_depth_is_linear_over_each_branch():
    net = without_weights("hifuse_tiny", drop=0.7)
    for branch in (net.local, net.context):
        rates = [module.probability for module in branch.modules() if isinstance(module, StochasticDepth)]
        assert rates == pytest.approx([k / 10 for k in range(8)])
    assert [fusion.drop.probability for fusion in net.fusions] == [0.7] * 4


def test_training_waits_for_no_unused_parameter():
    """Several processes wait for a gradient of everything that asks for one: what the authors never use does not."""
    torch.manual_seed(0)
    net = create_model("hifuse_tiny", 3).train()
    net(torch.rand(2, 3, 64, 64)).square().sum().backward()
    asked = {name for name, p in net.named_parameters() if p.requires_grad}
    assert asked == {name for name, p in net.named_parameters() if p.grad is not None}
    unused = {name.rpartition(".")[0] for name, _ in net.named_parameters() if name not in asked}
    blocks = {f"context.{stage}.blocks.{k}.unused_norm" for stage in range(4) for k in (0, 1)}
    first = {f"fusions.0.{part}" for part in ("before.0", "before.1", "norm_three", "three.0", "three.1")}
    later = {f"fusions.{stage}.{part}" for stage in (1, 2, 3) for part in ("norm_two", "two.0", "two.1")}
    assert unused == blocks | first | later | {"unused_norm", "unused_head"}
