"""The HiFuse for phones comes out of the converters flat, on the delegate and near, float and in 8 bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from convert._graph.graph import trace
from convert._judge import broken_rules
from convert._tflite.audit import audit
from convert._tflite.file import lower
from convert._tflite.quantise import quantise
from edge.metrics.statistics import read_back_logits, sqnr_db
from edge.models import create_model
from edge.models.deployed import Deployed
from edge.runtimes.litert import LiteRT

SIDE = 64  # the first map has four windows, and its second block moves them


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """uint8 (16, SIDE, SIDE, 3): a coloured disc each, so that their answers differ."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((SIDE, SIDE))
    found = []
    for _ in range(16):
        inside = (rows - rng.uniform(16, 48)) ** 2 + (columns - rng.uniform(16, 48)) ** 2 < rng.uniform(8, 24) ** 2
        colours = rng.integers(30, 226, (2, 3))
        found.append(np.where(inside[..., None], *colours) + rng.integers(-20, 21, (SIDE, SIDE, 3)))
    return np.array(found, np.uint8)


@pytest.fixture(scope="module")
def module(images) -> Deployed:
    """Random weights whose batch norms know the images and whose logits have deviation 1 between them."""
    torch.manual_seed(0)
    net = create_model("hifuse_tiny_compact")
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    batch = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        net.train()(batch)
        logits = net.eval()(batch)
        net.get_parameter("classifier.bias").sub_(logits.mean(0))
    deviation = float((logits - logits.mean(0)).std())
    return Deployed(net, mean=(0.0,) * 3, std=(1.0,) * 3, temperature=deviation, layout="NHWC").eval()


@pytest.fixture(scope="module")
def float32(module) -> bytes:
    lowered = lower(module, torch.zeros(1, SIDE, SIDE, 3))
    assert lowered.by == "operator by operator"
    return lowered.content


@pytest.mark.parametrize(("recipe", "bound"), [("fp32", 90), ("fp16", 40), ("int8-dynamic", 20)])
@pytest.mark.slow(reason="converts a whole network")
def test_compact_is_flat_on_the_delegate_and_near(module, float32, images, tmp_path, recipe, bound):
    with torch.no_grad():
        expected = np.concatenate([module(torch.from_numpy(image[None]).float()).double().numpy() for image in images])
    path = tmp_path / "x.tflite"
    path.write_bytes(quantise(float32, recipe))
    made_of = audit(path)
    assert made_of.xnnpack_partitions == 1 and made_of.largest_rank <= 4 and not broken_rules(made_of, recipe)
    assert made_of.layout_operators <= 70
    assert "GATHER_ND" not in made_of.operators and "SELECT_V2" not in made_of.operators
    found = LiteRT(path).run(images).probabilities
    assert np.median(sqnr_db(read_back_logits(expected), read_back_logits(found))) > bound


def test_masks_are_as_small_as_their_axes(float32):
    """What is added to the scores of shifted windows is kept by rows and by columns of windows, not for each window."""
    from edge.tflite.flatbuffer import unpack

    model = unpack(float32)
    places = [t for t in model.subgraphs[0].tensors if len(t.shape) == 4 and tuple(t.shape[2:]) == (64, 64)]
    constants = {tuple(t.shape) for t in places if model.buffers[t.buffer].data is not None}
    assert constants == {(2, 1, 64, 64), (1, 2, 64, 64)}


@pytest.mark.slow(reason="converts a whole network")
@pytest.mark.parametrize("side", [64, 96])
def test_no_tensor_has_more_than_four_axes(side):
    """Before any rewrite, so in Core ML too, whose Neural Engine likes no more."""
    graph = trace(create_model("hifuse_tiny_compact").eval(), torch.zeros(1, 3, side, side))
    ranks = {node.meta["val"].ndim for node in graph.graph.nodes if isinstance(node.meta.get("val"), torch.Tensor)}
    assert max(ranks) == 4
