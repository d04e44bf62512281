"""What comes with dermedge: each checkpoint whole, small enough, described, and on the page that lists them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge import decision, scheme, thresholds
from edge.checkpoint import SHIPPED, shipped, shipped_models
from edge.errors import InputError
from edge.files import read_json, sha256
from edge.models import MODELS

ROOT = Path(__file__).resolve().parents[2]
LARGEST_BYTES, LARGEST_SUM = 10_000_000, 30_000_000  # of the weights of one, of all
ALL = pytest.mark.parametrize("model", shipped_models())


def test_the_list_is_what_lies_there() -> None:
    files = sorted(path.name for path in SHIPPED.iterdir())
    named = {f"{model}{ending}" for model in shipped_models() for ending in (".safetensors", ".json", ".md")}
    kept = {f"{model}{kind}" for model in shipped_models()
            for kind in (".decision.json", ".scheme.json", ".coreml.scheme.json", ".rounding.npz",
                         ".whole.rounding.npz", ".coreml.rounding.npz", ".onnx.scheme.json",
                         ".onnx.rounding.npz")}  # fmt: skip
    assert named <= set(files) <= named | kept
    assert set(shipped_models()) <= set(MODELS) and shipped_models()
    assert sum(shipped(model).stat().st_size for model in shipped_models()) <= LARGEST_SUM


def test_the_page_of_models_lists_them_with_their_cards() -> None:
    text = (ROOT / "docs" / "models.md").read_text("utf-8")
    listed = re.findall(r"\[(\w+)\.md\]\(\.\./edge/weights/\1\.md\)", text)
    assert sorted(set(listed)) == sorted(shipped_models())
    row = next(line for line in text.splitlines() if line.startswith("These come with weights: "))
    assert re.findall(r"`(\w+)`", row) == list(shipped_models())


@ALL
def test_each_is_described_and_small(model: str) -> None:
    weights = shipped(model)
    facts = read_json(weights.with_suffix(".json"), expected="a shipped checkpoint")
    digest = facts["weights"]["sha256"]
    assert (facts["model"], digest) == (model, sha256(weights)) and weights.stat().st_size <= LARGEST_BYTES
    card = weights.with_suffix(".md").read_text("utf-8")
    assert card.startswith(f"# {model}\n") and digest in card and "Not a medical device" in card
    for role in ("trained", "held_back", "unseen"):
        assert all(part["patients"] for part in facts[role].values()) and facts[role]


@ALL
def test_what_was_measured_belongs_to_these_weights(model: str) -> None:
    weights = shipped(model)
    facts = read_json(weights.with_suffix(".json"), expected="a shipped checkpoint")
    for kind in (scheme.SUFFIX, scheme.COREML_SUFFIX, scheme.ONNX_SUFFIX):
        path = weights.with_name(f"{model}{kind}")
        if path.is_file():
            assert scheme.load(path).checkpoint_sha256 == facts["weights"]["sha256"], path.name
    if not (path := thresholds.beside(weights)).is_file():
        return
    section = thresholds.load(path, checkpoint_sha256=sha256(weights), side=facts["preprocess"]["side"])
    assert section["version"] == decision.VERSION
    assert decision.thresholds_of(section, [label["code"] for label in facts["classes"]])
    unseen = sum(len(part["images"]) for name, part in facts["unseen"].items() if name != "synthetic")
    assert sum(alarm["images"] for alarm in section["measured"]["false_alarms"]) == unseen
    trained = sum(len(part["images"]) for name, part in facts["trained"].items() if name != "synthetic")
    assert section["measured"]["quality_from"]["images"] == trained


def test_what_is_not_shipped_is_told_with_what_is() -> None:
    with pytest.raises(InputError, match=f"there is: {', '.join(shipped_models())}"):
        shipped("mnasnet")
