"""The manifest as types and as JSON: older ones are raised, what is written comes back, what is hostile is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from edge import artifact
from edge.errors import InputError
from edge.files import sha256
from edge.labels import Label
from edge.manifest import (
    INSIDE,
    SCHEMA,
    AnsweredParity,
    Audit,
    FineTuned,
    HalfRanges,
    Mask,
    MaskParity,
    Output,
    Parity,
    Reference,
    Run,
    SelfTest,
    Training,
    Untrained,
    from_json_value,
    schema,
    to_json_value,
)
from edge.questionnaire import Choice, Question
from tests.edge._manifests import SHA, entry, manifest

# Written by dermedge 0.1.0 before schema /2, with some of its files and operators taken out.
GOLDEN = Path(__file__).parents[1] / "golden"
OLD: dict[str, Any] = json.loads((GOLDEN / "manifest_1.json").read_text("utf-8"))
# Written by dermedge before schema /3, of a small network of two convolutions; two of its files are left.
SECOND: dict[str, Any] = json.loads((GOLDEN / "manifest_2.json").read_text("utf-8"))

CASES = (AnsweredParity("none", "pass", None, 1.0, 0.0), AnsweredParity("all", "pass", 41.5, 1.0, 0.002))
PARITY = Parity(
    "xnnpack", 64, "a set", False, "pass", True, 41.5, 1.0, 0.002, MaskParity(0.99, 0.98, None), 60, 8, CASES
)
AUDIT = Audit({"CONV_2D": 3}, 4, 1, 128, 10**9, 9 * 10**8, 2**20, 9 * 10**8, 1, warnings=("gpu-rank: a",))
QUESTIONS = (
    Question("itches", {"en": "Does it itch?", "de": "Juckt es?"}, "yes_no", 0, 2),
    Question("site", {"en": "Where?"}, "choice", 2, 2, (Choice("arm", {"en": "arm"}), Choice("leg", {"en": "leg"}))),
    Question("age", {"en": "How old?"}, "number", 4, 4, unit="years", min=0.0, max=110.0, knots=(20.0, 50.0, 80.0)),
)
RUN = Run("LiteRT", "2.1.0", "Cortex-A76")
HALVES = HalfRanges(1561.8, "matmul matmul_12", 0, 0.6, 0.5)
WHOLE = manifest(
    model="own_net",
    family="foreign",
    reference=Reference("program", SHA, "reference.pt2"),
    labels=(Label("ben", "benign", malignant=False), Label("odd", "odd one", malignant=None)),
    output=Output("probabilities as the network gives them", 1.25, 0.4),
    training=Training(({"name": "a set", "images": 3},), "somebody", Untrained(7, "noise")),
    versions={"torch": "2.9"},
    files=(
        entry("own_net-answers-int8.tflite", recipe="int8", parity=PARITY, audit=AUDIT, answers=True, dtype="uint8",
              output_dtype="uint8", output_scale=1 / 256, output_zero_point=0, seen_right=(RUN,), seen_slow=(RUN, RUN)),
        entry("own_net-palette4.mlpackage", audit=Audit({}, 4, 0, 0, 1, 0, 1, float16=HALVES),
              fine_tuned=FineTuned(40, 8, 20.5, 24.25, True)),
        entry("own_net-fp32.tflite"),
    ),
    self_test=(
        SelfTest("self_test_0.png", SHA, SHA, (0.25, 0.75), {"own_net-fp32.tflite": (0.25, 0.75)}, 0.5,
                 {"own_net-fp32.tflite": 0.5}, (0.0, 1.0) + (0.0,) * 6),
    ),
    mask=Mask("where", 64, 0.5),
    questions=QUESTIONS,
    log_odds=((0.5,) * 8, (-1.25, 0.0) * 4),
)  # fmt: skip


def read(value: object) -> Any:
    return from_json_value(value, where="here")


def test_what_is_written_comes_back() -> None:
    """With every part that a manifest can have, and by way of text."""
    text = json.dumps(to_json_value(WHOLE), allow_nan=False)
    assert read(json.loads(text)) == WHOLE
    assert read(json.loads(json.dumps(to_json_value(manifest())))) == manifest()


def test_every_part_of_the_schema_is_tried_here() -> None:
    """So that a field that somebody adds to the schema is also written and read."""
    value, parts = to_json_value(WHOLE), schema()["properties"]
    assert parts.keys() - value.keys() == {"decision"}  # that one is in test_thresholds.py
    written = {key for file in value["files"] for key in file}
    assert written == parts["files"]["items"]["properties"].keys()
    assert value["self_test"][0].keys() == parts["self_test"]["items"]["properties"].keys()
    assert value["questions"][0].keys() == schema()["$defs"]["question"]["properties"].keys()


def test_a_manifest_of_the_first_schema_is_raised() -> None:
    raised = read(copy.deepcopy(OLD))
    assert (raised.model, raised.side, raised.codes) == ("hierattn_xs", 128, ("ACK", "BCC", "MEL", "NEV", "SCC", "SEK"))
    assert raised.reference == Reference("checkpoint", OLD["checkpoint_sha256"])
    assert raised.questions == () and raised.output.abstain_threshold == OLD["output"]["abstain_threshold"]
    package = raised.entry("hierattn_xs-fp16.mlpackage")
    assert package is not None and (package.layout, package.dtype, package.output_dtype) == (
        "image",
        "uint8",
        "float32",
    )
    assert package.opens_from == "iOS 16 / macOS 13" and package.seen_right == package.seen_slow == ()
    assert not package.answers and package.audit.float16.largest_activation_at == "matmul matmul_12"
    assert package.parity.sqnr_db_median == OLD["files"][0]["parity"]["sqnr_db_median"]
    written = to_json_value(raised)
    assert written["schema"] == SCHEMA and read(written) == raised


def test_a_manifest_of_the_second_schema_is_raised() -> None:
    assert SECOND["schema"] == "dermedge/manifest/2"
    raised = read(copy.deepcopy(SECOND))
    assert raised.log_odds is None and all(entry.parity.by_answers == () for entry in raised.files)
    assert to_json_value(raised) == SECOND | {"schema": SCHEMA}


def test_what_files_carry_inside_stays_as_it_was() -> None:
    """Bytes of converted files must not change with the manifest's schema."""
    inside = read(copy.deepcopy(OLD)).facts_inside()
    assert inside == {key: OLD[key] for key in INSIDE if key in OLD}
    assert list(inside) == [key for key in INSIDE if key in OLD]


def test_files_with_the_second_input_say_what_it_is() -> None:
    inside = WHOLE.facts_inside(answers=True)
    assert inside.items() >= WHOLE.facts_inside().items()
    assert inside["answers"]["name"] == "answers" and inside["answers"]["shape"] == [1, 8]
    assert [question["id"] for question in inside["questions"]] == ["itches", "site", "age"]
    assert inside["log_odds"] == [[0.5] * 8, [-1.25, 0.0] * 4]


@pytest.mark.parametrize("rows", [[[0.5] * 8, [0.5] * 7], [[0.5] * 8] * 3])
def test_log_odds_of_another_shape_are_refused(rows: list[list[float]]) -> None:
    with pytest.raises(InputError, match="log_odds are not 2 x 8 numbers"):
        read(to_json_value(WHOLE) | {"log_odds": rows})


def changed(value: dict[str, Any], path: str, new: object) -> dict[str, Any]:
    """The value with something else at `a/0/b`."""
    value = copy.deepcopy(value)
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    place: Any = value
    for part in way:
        place = place[part]
    place[last] = new
    return value


HOSTILE: list[tuple[str, object, str]] = [
    ("schema", "dermedge/manifest/4", "schema"),
    ("schema", None, "schema"),
    ("model", "../../etc", "model"),
    ("labels", [], "labels"),
    ("labels/1/code", "ben", "codes must differ"),
    ("labels/0/name", "a\nb", "labels|printable"),
    ("input/side", 64.0, "input/side"),
    ("input/side", True, "input/side"),
    ("input/side", 10**30, "input/side"),
    ("macs", 10**400, "macs"),
    ("output/temperature", float("nan"), "output/temperature"),
    ("output/temperature", float("inf"), "output/temperature"),
    ("output/temperature", 0, "output/temperature"),
    ("files/0/file", "../x.tflite", "files/0/file"),
    ("files/0/file", "/etc/passwd", "files/0/file"),
    ("files/0/file", ".hidden", "files/0/file"),
    ("files/0/file", "own_net-fp32.tflite", "described twice"),
    ("files/0/sha256", "A" * 64, "files/0/sha256"),
    ("files/0/bytes", -1, "files/0/bytes"),
    ("files/0/format", "exe", "files/0/format"),
    ("files/0/parity/agreement", 1.5, "agreement"),
    ("files/0/parity/largest_delta_p", float("nan"), "largest_delta_p"),
    ("files/0/surprise", 1, "surprise"),
    ("files/1/audit/float16", {}, "float16"),
    ("files/0", 3, "files/0"),
    ("reference/file", None, "reference"),
    ("reference/file", "../weights.pt2", "reference/file"),
    ("reference/file", "weights.bin", "reference/file"),
    ("reference/kind", "checkpoint", "reference"),
    ("self_test/0/image", "../../x.png", "self_test/0/image"),
    ("self_test/0/reference", [0.2, 0.3, 0.5], "self_test: not every answer has 2 classes"),
    ("self_test/0/expected/own_net-fp32.tflite", [0.2, float("inf")], "self_test/0/expected"),
    ("training/data", ["a set"], "training/data/0"),
    ("questions/0/kind", "essay", "questions/0/kind"),
    ("versions", {"torch": 2}, "versions/torch"),
]


@pytest.mark.parametrize(("path", "new", "words"), HOSTILE, ids=[f"{path} {str(new)[:20]}" for path, new, _ in HOSTILE])
def test_what_does_not_fit_is_named(path: str, new: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read(changed(to_json_value(WHOLE), path, new))
    assert "here" in str(caught.value) and len(str(caught.value)) < 1000


DAMAGE = [
    (path, new)
    for path in ("files", "files/0", "files/0/minimum_runtime", "checkpoint_sha256", "labels")
    for new in (None, 3, [], {}, "x", [[]])
    if [path, new] not in (["files/0/minimum_runtime", "x"], ["files", []])  # which are none
]


@pytest.mark.parametrize(("path", "new"), DAMAGE)
def test_an_old_one_that_is_damaged_is_refused_too(path: str, new: object) -> None:
    with pytest.raises(InputError, match="here"):
        read(changed(OLD, path, new))


@pytest.mark.parametrize("value", [None, [], "x", 3, {}, {"schema": SCHEMA}, {"schema": "dermedge/manifest/1"}])
def test_what_is_no_manifest_is_said(value: object) -> None:
    with pytest.raises(InputError, match="here"):
        read(value)


def test_depth_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schema": "dermedge/manifest/2", "model": ' + "[" * 900 + "]" * 900 + "}")
    with pytest.raises(InputError, match=r"manifest\.json"):
        artifact.read(tmp_path)


def test_a_file_with_numbers_beyond_any_is_refused(tmp_path: Path) -> None:
    """JSON that Python alone takes: NaN, Infinity, and 1e999, which is read as infinite."""
    text = json.dumps(to_json_value(WHOLE))
    for number in ("NaN", "Infinity", "1e999"):
        (tmp_path / "manifest.json").write_text(text.replace('"temperature": 1.25', f'"temperature": {number}'))
        with pytest.raises(InputError, match="output/temperature"):
            artifact.read(tmp_path)


def test_a_folder_is_what_its_manifest_says(tmp_path: Path) -> None:
    """On writing and on every check: a file that is missing or another is named, and the float network like any."""
    (tmp_path / "net-fp32.tflite").write_bytes(b"abc")
    (tmp_path / "reference.pt2").write_bytes(b"network")
    described = entry(bytes=3, sha256=sha256(tmp_path / "net-fp32.tflite"))
    reference = Reference("program", sha256(tmp_path / "reference.pt2"), "reference.pt2")
    whole = manifest(files=(described,), reference=reference)
    artifact.write(tmp_path, whole)
    assert artifact.read(tmp_path) == artifact.read(tmp_path / "manifest.json") == whole
    artifact.verify(tmp_path, whole)
    before = (tmp_path / "manifest.json").read_bytes()
    (tmp_path / "net-fp32.tflite").write_bytes(b"abd")
    with pytest.raises(InputError, match="not the file that the manifest describes"):
        artifact.write(tmp_path, manifest(files=(described,), reference=reference, parameters=2))
    assert (tmp_path / "manifest.json").read_bytes() == before
    (tmp_path / "net-fp32.tflite").write_bytes(b"abc")
    (tmp_path / "reference.pt2").write_bytes(b"other network")
    with pytest.raises(InputError, match="not the float network"):
        artifact.verify(tmp_path, whole)
    (tmp_path / "reference.pt2").unlink()
    with pytest.raises(InputError, match=r"reference\.pt2, which is missing"):
        artifact.verify(tmp_path, whole)
