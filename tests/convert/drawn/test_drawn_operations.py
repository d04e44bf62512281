"""Every operation that conversion lowers, with drawn arguments: the file answers as torch in float64, or is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from edge.checkpoint import Checkpoint
from edge.errors import InputError
from edge.metrics.statistics import sqnr_db
from tests._phones import needs_android, needs_arm
from tests.convert.drawn._network import (
    SCORES,
    answers,
    checkpoint_of,
    core_ml,
    eight_bits,
    refusal_of,
    tflite,
    truth,
)
from tests.convert.drawn._variants import KINDS, WITH_WEIGHTS, Variant
from tests.fuzzing import fuzzed

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning"),
]
QUICK = ("conv2d", "conv_transpose2d", "avg_pool2d", "interpolate2d", "attention")
EXAMPLES = 4  # the first is the plainest; with two, five operations broken on purpose were seen in two kinds only
TOGETHER = 4  # operations in a network, because most of the time goes into the conversion of any network


def several(kind: str) -> st.SearchStrategy[list[Variant]]:
    return st.lists(KINDS[kind], min_size=TOGETHER, max_size=TOGETHER)


def check(variants: list[Variant], checkpoint: Checkpoint, run) -> int:
    """`run` the checkpoint in a format; how many operations answered, and rightly.

    A network with an operation that is refused is tried again in parts.
    """
    expected, near = truth(checkpoint)
    try:
        scores = run(checkpoint)
    except InputError as error:
        event(refusal_of(error)[:80])
        return sum(check([v], checkpoint_of([v]), run) for v in variants) if len(variants) > 1 else 0
    wrong = (np.abs(scores - expected) > near).any(0)
    culprits = [variants[number // SCORES] for number in np.flatnonzero(wrong)]
    assert not culprits, f"{culprits[0]}: expected {expected[:, wrong]}, got {scores[:, wrong]}"
    return len(variants)


@pytest.mark.parametrize(
    "kind",
    [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow(reason="one more kind of operation")) for k in KINDS],
)
def test_tflite(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("operations") / "x.tflite"

    @fuzzed(EXAMPLES, seconds_each=2)
    @given(several(kind))
    def run(variants: list[Variant]) -> None:
        right.append(check(variants, checkpoint_of(variants), lambda checkpoint: answers(tflite(checkpoint), path)))

    right: list[int] = []
    run()
    assert sum(right) > 0  # not all were refused


@pytest.mark.filterwarnings("ignore:.*overflow.*:RuntimeWarning")
@pytest.mark.slow(reason="a conversion by coremltools for each network")
@pytest.mark.parametrize("kind", KINDS)
def test_core_ml(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("operations")

    @fuzzed(EXAMPLES, seconds_each=2)
    @given(several(kind))
    def run(variants: list[Variant]) -> None:
        path = folder / "x.mlpackage"
        right.append(check(variants, checkpoint_of(variants), lambda checkpoint: core_ml(checkpoint, path)))

    right: list[int] = []
    run()
    assert sum(right) > 0


EIGHT_BIT_NOISE = 20.0  # dB; below, an answer is wrong and not rounded
APART = 6.0  # dB that a phone's kernels may lose beside LiteRT here, which takes a range for each token


@pytest.mark.parametrize("kind", WITH_WEIGHTS)
@pytest.mark.parametrize(
    "mode", [pytest.param("arm64", marks=needs_arm), pytest.param("android:2.14.0", marks=needs_android)]
)
@pytest.mark.slow(reason="an emulated processor")
def test_8_bits_on_arm(kind: str, mode: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("operations") / "x.tflite"

    @fuzzed(EXAMPLES, seconds_each=2)
    @given(several(kind), st.sampled_from(["int8-weights", "int8-dynamic"]))
    def run(variants: list[Variant], recipe: str) -> None:
        checkpoint = checkpoint_of(variants)
        expected, _ = truth(checkpoint)
        try:
            content = eight_bits(tflite(checkpoint), recipe)
        except InputError as error:
            event(refusal_of(error)[:80])
            return
        here = answers(content, path)
        there = answers(content, path, mode)
        for number, variant in enumerate(variants):
            own = slice(number * SCORES, (number + 1) * SCORES)
            least = min(np.median(sqnr_db(expected[:, own], here[:, own])) - APART, EIGHT_BIT_NOISE)
            noise = np.median(sqnr_db(expected[:, own], there[:, own]))
            assert noise >= least, f"{variant}, {recipe}: {noise:.1f} dB on {mode}, at least {least:.1f} expected"

    run()
