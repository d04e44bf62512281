"""Measured thresholds on disk: what is written comes back, what is damaged or of other weights is not used."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from convert._answered import without_unasked
from edge import decision, thresholds
from edge.decision import Thresholds
from edge.errors import InputError
from edge.manifest import Manifest, from_json_value, to_json_value
from edge.nine_questions import QUESTIONS
from tests.edge._manifests import entry, manifest
from tests.golden.decision import make

SECTION: dict[str, Any] = {
    "version": "gate-2",
    "side": 128,
    "quality": make.LIMITS,
    "abstain_threshold": 0.45,
    "coverage": 0.9,
    "measured": {
        "quality_from": {"name": "a set", "images": 900, "patients": 500},
        "abstain_from": {"name": "a set", "images": 80, "patients": 50},
        "alarm_share_per_check": 0.005,
        "false_alarms": [
            {"photographs": "a set", "images": 100, "sent_back": 2, "share": 0.02, "low": 0.006, "high": 0.07}
        ],
    },
}


MANIFEST = manifest(side=128)


def read(manifest: Manifest, **changes: Any) -> Manifest:
    """What comes back of the JSON of a manifest, with these top-level fields in place of its own."""
    return from_json_value(json.loads(json.dumps(to_json_value(manifest) | changes)), where="here")


def test_thresholds_travel_through_a_file(tmp_path):
    path = thresholds.beside(tmp_path / "net.safetensors")
    thresholds.save(path, SECTION, checkpoint_sha256="a" * 64)
    assert path.name == "net.decision.json"
    section = thresholds.load(path, checkpoint_sha256="a" * 64, side=128)
    assert section == SECTION
    rule = decision.thresholds_of(section, ["ACK", "BCC"])
    assert rule == Thresholds(128, make.LIMITS, 0.45, ("ACK", "BCC"))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"side": 4}, "decision/side"),
        ({"abstain_threshold": 1.5}, "decision/abstain_threshold"),
        ({"coverage": 0}, "decision/coverage"),
        ({"quality": {"light": 1}}, "decision/quality"),
        ({"quality": make.LIMITS | {"fine": 300.5}}, "decision/quality/fine"),
        ({"quality": make.LIMITS | {"mood": 3}}, "mood"),
        ({"hints": "…"}, "hints"),
    ],
)
def test_a_damaged_file_of_thresholds_is_named(tmp_path, change, word):
    path = tmp_path / "net.decision.json"
    path.write_text(
        json.dumps({"schema": thresholds.SCHEMA, "checkpoint_sha256": "a" * 64, "decision": SECTION | change})
    )
    with pytest.raises(InputError, match=word):
        thresholds.load(path, checkpoint_sha256="a" * 64, side=128)


ENTRIES = [
    {"answered": "some", "from": 1, "abstain_threshold": 0.5},
    {"answered": "all", "from": 5, "abstain_threshold": 0.6, "temperature": 1.2},
]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, ""),
        ({"by_answers": ENTRIES[::-1]}, "ascending"),
        ({"by_answers": [ENTRIES[0], ENTRIES[1] | {"answered": "some"}]}, "each case once"),
        ({"by_answers": [ENTRIES[0] | {"from": 10}]}, "and there are 9 questions"),
        ({"malignant_threshold": 0.3}, "malignant_threshold"),
        ({"by_answers": [ENTRIES[0] | {"temperature": 9}]}, "decision/by_answers/0/temperature"),
        ({"by_answers": [ENTRIES[0] | {"from": 0}]}, "decision/by_answers/0/from"),
    ],
)
def test_thresholds_by_answers_are_checked_in_a_manifest(change, word):
    section = SECTION | {"by_answers": ENTRIES} | change
    asked = replace(MANIFEST, questions=QUESTIONS, files=(entry(answers=True),))
    with pytest.raises(InputError, match=word) if word else nullcontext():
        rule = decision.of_manifest(read(thresholds.with_section(asked, section)))
        assert rule is not None
        assert [own.start for own in rule.by_answers] == [1, 5] and rule.for_answers(9).temperature == 1.2
        assert rule.for_answers(0) == Thresholds(128, make.LIMITS, 0.45, ("ACK", "BCC"))


def test_a_manifest_of_pictures_alone_has_no_thresholds_by_answers():
    whole = thresholds.with_section(replace(MANIFEST, questions=QUESTIONS), SECTION | {"by_answers": ENTRIES})
    assert without_unasked(whole).decision == SECTION


def test_thresholds_of_another_checkpoint_are_refused(tmp_path):
    """After training again the old limits would still be there and say nothing of the new network."""
    path = tmp_path / "net.decision.json"
    thresholds.save(path, SECTION, checkpoint_sha256="a" * 64)
    with pytest.raises(InputError, match=r"another checkpoint.*--measure"):
        thresholds.load(path, checkpoint_sha256="b" * 64, side=128)
    with pytest.raises(InputError, match="128 pixels, the model takes 256"):
        thresholds.load(path, checkpoint_sha256="a" * 64, side=256)
    path.write_text("{}")
    with pytest.raises(InputError, match=thresholds.SCHEMA):
        thresholds.load(path, checkpoint_sha256="a" * 64, side=128)


def test_weights_that_were_trained_again_have_no_thresholds(tmp_path, messages):
    """Conversion goes on, says so, and never writes limits that were measured with another network."""
    weights = tmp_path / "net.safetensors"
    assert thresholds.find(weights, checkpoint_sha256="a" * 64, side=128) is None
    thresholds.save(thresholds.beside(weights), SECTION, checkpoint_sha256="a" * 64)
    assert thresholds.find(weights, checkpoint_sha256="a" * 64, side=128) == SECTION
    assert not messages
    assert thresholds.find(weights, checkpoint_sha256="b" * 64, side=128) is None
    assert len(messages) == 1 and "decide --measure" in messages[0]


def test_a_folder_of_training_has_one_place(tmp_path):
    assert thresholds.beside(tmp_path) == tmp_path / "checkpoint.decision.json"
    assert thresholds.beside(tmp_path / "net.json") == tmp_path / "net.decision.json"


def test_a_manifest_without_thresholds_stays_valid():
    assert decision.of_manifest(read(MANIFEST)) is None


def test_a_manifest_carries_them():
    whole = thresholds.with_section(MANIFEST, SECTION)
    rule = decision.of_manifest(read(whole))
    assert rule == Thresholds(128, make.LIMITS, 0.45, ("ACK", "BCC"))
    assert whole.output.abstain_threshold == 0.45  # the older place says the same
    assert thresholds.with_section(whole, None) == MANIFEST


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"output": to_json_value(MANIFEST)["output"] | {"abstain_threshold": 0.3}}, "different abstain thresholds"),
        ({"input": to_json_value(MANIFEST)["input"] | {"side": 256}}, "another side"),
        ({"decision": SECTION | {"side": "128"}}, "decision/side"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(change, word):
    with pytest.raises(InputError, match=word):
        read(thresholds.with_section(MANIFEST, SECTION), **change)
