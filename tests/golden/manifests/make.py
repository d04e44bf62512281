"""Writes cases.json: a manifest that every app opens, and what is changed in it so that every app must refuse it.

    python tests/golden/manifests/make.py            # writes
    python tests/golden/manifests/make.py --check    # compares with what is there, exit code 1 if it differs

Which changes are refused follows from docs/bundle.md, docs/answers.md and docs/decision.md and is stated here by hand;
from_schema.py adds what edge/manifest.schema.json forbids at each place. Nothing is written or compared where
edge/manifest.py decides otherwise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from edge.errors import InputError
from edge.manifest import (
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
from edge.questionnaire import parsed_question
from tests.edge._manifests import SHA, entry, manifest
from tests.golden.manifests.from_schema import TAKEN_OUT, spoilt
from tests.golden.writing import write_or_check

FILE = Path(__file__).with_name("cases.json")
ABOUT = (
    "`manifest`: one that every app reads. `cases`: keys of the whole manifest that are replaced in it, by `changes`; "
    "null there leaves the key out. Or `part`: the place `at` that has another `value`, or is left out where none is "
    "stated. An app refuses the changed manifest before it opens a file, but takes it where `accepted` is true."
)
SIDE = 32
TEXT = {"en": "?"}
QUALITY = {"light": 60, "clipped": 300, "contrast": 0, "fine": 0, "coarse": 0, "busy": 9999, "warm": 0, "green": 20,
           "spot": 0}  # fmt: skip
ALARMS = {"photographs": "drawn", "images": 1, "sent_back": 0, "share": 0, "low": 0, "high": 0.8}
PHOTOGRAPHS = {"name": "drawn", "images": 1, "patients": 1}
SOME = {"answered": "some", "from": 1, "abstain_threshold": 0.5, "malignant_threshold": 0.3, "temperature": 1.5}
MOST = {"answered": "all", "from": 2, "abstain_threshold": 0.6, "malignant_threshold": 0.25}
DECISION = {
    "version": "gate-2", "side": SIDE, "quality": QUALITY, "abstain_threshold": 0.4, "malignant_threshold": 0.35,
    "by_answers": [SOME, MOST], "coverage": 0.9,
    "measured": {"quality_from": PHOTOGRAPHS, "abstain_from": PHOTOGRAPHS, "alarm_share_per_check": 0.01,
                 "false_alarms": [ALARMS]},
}  # fmt: skip


def question(code: Any, kind: str, offset: int, length: int, **own: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"choices": [], "unit": None, "min": None, "max": None, "knots": []}
    return {"id": code, "text": TEXT, "kind": kind, "offset": offset, "length": length} | plain | own


ITCHES = question("itches", "yes_no", 0, 2)
SIDES = question("side", "choice", 2, 2, choices=[{"id": "left", "text": TEXT}, {"id": "right", "text": TEXT}])
AGE = question("age", "number", 4, 4, unit="years", min=0, max=120, knots=[20, 40.5, 60])
QUESTIONS = [ITCHES, SIDES, AGE]
PLACES = 8
ROWS = [[0.25] * PLACES, [-0.5] * PLACES]
HALVES = HalfRanges(15.5, "conv", 0, 0.5, 0.5)
JUDGED: dict[str, Any] = {
    "parity": Parity("xnnpack", 64, "drawn", True, "pass", True, 41.5, 1.0, 0.002, MaskParity(0.99, 0.98, 1.5), 60, 8,
                     (AnsweredParity("all", "pass", 41.5, 1.0, 0.002),)),
    "audit": Audit({"CONV_2D": 3}, 4, 1, 128, 1000, 900, 4096, 900, 1, HALVES, ("a rule",)),
    "fine_tuned": FineTuned(40, 8, 20.5, 24.25, True),
    "seen_right": (Run("LiteRT", "2.1.0", "a processor"),),
}  # fmt: skip
FILES = [
    entry("net-answers-fp16.tflite", recipe="fp16", answers=True, **JUDGED),
    entry("net-answers-fp16.mlpackage", recipe="fp16", answers=True, layout="image", opens_from="iOS 16 / macOS 13"),
]
STEPS = {"dtype": "uint8", "scale": 0.00390625, "zero_point": 255}


def whole() -> dict[str, Any]:
    expected = {file.file: (0.25, 0.75) for file in FILES}
    plain = manifest(
        side=SIDE, files=tuple(FILES), output=Output("softmax", 1.0, 0.4), mask=Mask("drawn", SIDE, 0.5),
        questions=tuple(map(parsed_question, QUESTIONS)), log_odds=tuple(map(tuple, ROWS)), decision=DECISION,
        self_test=(SelfTest("self_test_0.png", SHA, SHA, (0.25, 0.75), expected, 0.5, dict.fromkeys(expected, 0.5),
                            (0.0,) * PLACES),),
        training=Training(({"name": "drawn"},), "nobody", Untrained(7, "noise")), versions={"torch": "2.9"},
        reference=Reference("program", SHA, "reference.pt2"),
    )  # fmt: skip
    value = to_json_value(plain)
    value["files"][0]["output"] = STEPS
    return value


WHOLE = whole()


def case(name: str, *, accepted: bool = False, **changes: Any) -> dict[str, Any]:
    return {"name": name, "accepted": accepted, "changes": changes}


def part(name: str, *at: Any, value: Any, accepted: bool = False) -> dict[str, Any]:
    """One place of the manifest has another value, or nothing at all."""
    stated = {} if value is TAKEN_OUT else {"value": value}
    return {"name": name, "accepted": accepted, "part": {"at": list(at)} | stated}


def asked(name: str, *questions: Any, accepted: bool = False) -> dict[str, Any]:
    """The questions replaced, with log-odds and answers that fit them, so that nothing else is wrong."""
    places = sum(one["length"] for one in questions if isinstance(one, dict) and isinstance(one.get("length"), int))
    return case(
        name, accepted=accepted, questions=list(questions), log_odds=[[0.25] * max(places, 1)] * 2,
        self_test=[WHOLE["self_test"][0] | {"answers": [0.0] * places}],
        decision=without(DECISION, "by_answers"),
    )  # fmt: skip


def without(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


def gate(name: str, *, accepted: bool = False, **changes: Any) -> dict[str, Any]:
    return case(name, accepted=accepted, decision=DECISION | changes)


def placed() -> Iterator[dict[str, Any]]:
    """Where questions lie in the vector, and what they are called."""
    other = ITCHES | {"id": "grew"}
    yield asked("two questions in the same places", ITCHES, other)
    yield asked("a gap between questions", ITCHES, other | {"offset": 3})
    yield asked("the first question not at the beginning", ITCHES | {"offset": 2}, other | {"offset": 0})
    yield asked("two questions of one id", ITCHES, ITCHES | {"offset": 2})
    yield asked("one question after the other", ITCHES, other | {"offset": 2}, accepted=True)
    for code in ("length", "constructor", "__proto__", "0", "replaceChildren"):
        yield asked(f"a question {code}", ITCHES | {"id": code}, accepted=True)
    for wrong in ("is it", "", "a" * 65, 7):
        yield asked(f"a question with the id {wrong!r:.12}", ITCHES | {"id": wrong})
    yield asked("no question", None)
    yield asked("a number for a question", 7)
    yield case("no questions, and a file that takes answers", questions=[], log_odds=None, decision=None, self_test=[])


def asking() -> Iterator[dict[str, Any]]:
    """Questions of themselves."""
    yield asked("an unknown kind", ITCHES | {"kind": "yes"})
    yield asked("three places for yes or no", ITCHES | {"length": 3})
    yield asked("choices for yes or no", ITCHES | {"choices": SIDES["choices"]})
    yield asked("no words", ITCHES | {"text": {}})
    yield asked("words in no language", ITCHES | {"text": {"": "?"}})
    yield asked("words, none of them English", ITCHES | {"text": {"de": "?"}})
    yield asked("English words second", ITCHES | {"text": {"de": "?", "en": "?"}})
    words = [{"id": "left", "text": {"de": "?", "en": "?"}}, SIDES["choices"][1]]
    yield asked("a choice with English words second", SIDES | {"offset": 0, "choices": words})
    yield asked("English words first", ITCHES | {"text": {"en": "?", "de": "?"}}, accepted=True)
    yield asked("a text for words", ITCHES | {"text": "itches?"})
    yield asked("no choices to choose from", SIDES | {"offset": 0, "choices": None})
    yield asked("one choice", SIDES | {"offset": 0, "length": 1, "choices": SIDES["choices"][:1]})
    yield asked("two choices of one id", SIDES | {"offset": 0, "choices": SIDES["choices"][:1] * 2})
    german = {"id": "left", "text": {"de": "?"}}
    yield asked("a choice, not in English", SIDES | {"offset": 0, "choices": [german, SIDES["choices"][1]]})
    for name, wrong in (("unit", "mm"), ("min", 0), ("max", 1), ("knots", [20, 40])):
        yield asked(f"{name} for yes or no", ITCHES | {name: wrong})
        yield asked(f"{name} for a choice", SIDES | {"offset": 0, name: wrong})
    yield asked("null for a choice", SIDES | {"offset": 0, "choices": [SIDES["choices"][0], None]})
    odd = [{"id": code, "text": TEXT} for code in ("constructor", "__proto__")]
    yield asked("choices of odd names", SIDES | {"offset": 0, "choices": odd}, accepted=True)
    age = AGE | {"offset": 0}
    yield asked("a number alone", age, accepted=True)
    yield asked("choices for a number", age | {"choices": SIDES["choices"]})
    yield asked("knots that descend", age | {"knots": [60, 40, 20]})
    yield asked("knots that are equal", age | {"knots": [20, 20, 60]})
    yield asked("one knot", age | {"knots": [20], "length": 2})
    yield asked("a text for a knot", age | {"knots": [20, "40", 60]})
    yield asked("a knot far away", age | {"knots": [20, 40, 1e300]})
    yield asked("no least number", age | {"min": None})
    yield asked("the least above the largest number", age | {"min": 120, "max": 0})
    yield asked("a text for the largest number", age | {"max": "120"})


def gates() -> Iterator[dict[str, Any]]:
    """Thresholds and limits."""
    for wrong in (-1, 0, 0.1, 5.5, "2", None):
        yield gate(f"a temperature of {wrong!r}", by_answers=[SOME | {"temperature": wrong}])
    for good in (0.2, 1, 5):
        yield gate(f"a temperature of {good}", by_answers=[SOME | {"temperature": good}], accepted=True)
    for wrong in (1, 2):
        yield gate(f"a temperature of {wrong} for no answers", temperature=wrong)
        yield gate(f"a temperature of {wrong} for no answers, and nothing by answers", by_answers=[], temperature=wrong)
    yield gate("an activation of the thresholds", activation="none")
    yield gate("an activation with answers", by_answers=[SOME | {"activation": "none"}])
    for wrong in (-0.1, 1.1, "0.5", None):
        yield gate(f"an abstain threshold of {wrong!r} with answers", by_answers=[SOME | {"abstain_threshold": wrong}])
        yield case(f"an abstain threshold of {wrong!r}", decision=DECISION | {"abstain_threshold": wrong},
                   output=WHOLE["output"] | {"abstain_threshold": wrong})  # fmt: skip
    for wrong in (-0.1, 1.1, "0.5", None):
        yield gate(f"a malignant threshold of {wrong!r}", malignant_threshold=wrong)
        entries = [SOME | {"malignant_threshold": wrong}]
        yield gate(f"a malignant threshold of {wrong!r} with answers", by_answers=entries)
    plain = [without(SOME, "malignant_threshold"), without(MOST, "malignant_threshold")]
    no_whole = without(DECISION, "malignant_threshold")
    yield gate("no malignant threshold with some answers", by_answers=[plain[0], MOST])
    yield case("a malignant threshold with answers alone", decision=no_whole)
    yield case(
        "null for the malignant threshold alone", decision=no_whole | {"malignant_threshold": None, "by_answers": plain}
    )
    nothing = [SOME | {"malignant_threshold": None}, plain[1]]
    yield case("null for a malignant threshold with answers alone", decision=no_whole | {"by_answers": nothing})
    yield case("no malignant threshold anywhere", decision=no_whole | {"by_answers": plain}, accepted=True)
    yield gate("thresholds by answers that descend", by_answers=[SOME | {"from": 3}, MOST])
    yield gate("thresholds twice for as many answers", by_answers=[SOME | {"from": 2}, MOST])
    yield gate("thresholds from no answer on", by_answers=[SOME | {"from": 0}, MOST])
    yield gate("thresholds from half an answer on", by_answers=[SOME | {"from": 0.5}, MOST])
    yield gate("thresholds from more answers on than are asked", by_answers=[SOME, MOST | {"from": 4}])
    yield gate("thresholds from all answers on", by_answers=[SOME, MOST | {"from": 3}], accepted=True)
    yield gate("null by answers", by_answers=[None])
    yield gate("an object by answers", by_answers=SOME)
    yield gate("null for by answers", by_answers=None)
    yield gate("an empty list by answers", by_answers=[])
    yield gate("three entries by answers", by_answers=[SOME, SOME | {"from": 2}, SOME | {"from": 3}])
    yield gate("two entries for some answers", by_answers=[SOME, SOME | {"from": 2}])
    for wrong in ("most", None):
        yield gate(f"thresholds for {wrong!r} of the answers", by_answers=[SOME | {"answered": wrong}, MOST])
    yield gate("thresholds for nobody says how many answers", by_answers=[without(SOME, "answered"), MOST])
    yield case("no decision", decision=None, output=WHOLE["output"] | {"abstain_threshold": None}, accepted=True)
    yield gate("no limits", quality={})
    yield gate("a list of limits", quality=[60, 300])
    for name, most in (("light", 255), ("clipped", 1000), ("contrast", 255), ("fine", 9999), ("coarse", 9999),
                       ("busy", 9999), ("warm", 1000), ("green", 1000), ("spot", 255)):  # fmt: skip
        yield gate(f"no limit for {name}", quality=without(QUALITY, name))
        yield gate(f"a limit of {most + 1} for {name}", quality=QUALITY | {name: most + 1})
        yield gate(f"a limit of {most} for {name}", quality=QUALITY | {name: most}, accepted=True)
    for wrong in (-1, 60.5, "60", None, True):
        yield gate(f"a limit of {wrong!r}", quality=QUALITY | {"light": wrong})
    yield gate("a limit that nobody knows", quality=QUALITY | {"sharpness": 3})
    yield gate("limits for another side", side=64)


def others() -> Iterator[dict[str, Any]]:
    """The rest of what decides on an answer."""
    yield case("nothing is changed", accepted=True)
    labels, tests, files = WHOLE["labels"], WHOLE["self_test"], WHOLE["files"]
    yield case("one class", labels=labels[:1])
    yield case("two classes of one code", labels=[labels[0], labels[0]])
    yield case("null for a class", labels=[labels[0], None])
    yield case("a class without a name", labels=[labels[0], without(labels[1], "name")])
    yield case("a class without a word on malignancy", labels=[labels[0], without(labels[1], "malignant")])
    for wrong in ("yes", 1):
        yield case(f"a class that is malignant {wrong!r}", labels=[labels[0], labels[1] | {"malignant": wrong}])
    yield case("a class of which nobody knows", labels=[labels[0], labels[1] | {"malignant": None}], accepted=True)
    for wrong in ("", "B C", "B.C", "a" * 65, 7):
        yield case(f"a class with the code {wrong!r:.12}", labels=[labels[0], labels[1] | {"code": wrong}])
    yield case("a class in another language", labels=[labels[0], labels[1] | {"code": "näv-us_2"}], accepted=True)
    yield case("an activation", output=WHOLE["output"] | {"activation": "none"})
    yield case("log-odds, a row short", log_odds=ROWS[:1])
    short = ROWS[1][1:]
    for name, row in (("a number short", short), ("a text among them", ["0.5", *short]), ("null for a row", None)):
        yield case(f"log-odds, {name}", log_odds=[ROWS[0], row])
    for threshold in (0, 1, -0.5, "0.5", None):
        yield case(f"a mask from {threshold!r} on", mask=WHOLE["mask"] | {"threshold": threshold})
    for side in (15, 1025, 32.5, "32", None):
        yield case(f"a side of {side!r}", input=WHOLE["input"] | {"side": side})
    yield case("null for a file", files=[None])
    for i, file in enumerate(("a .tflite", "an .mlpackage")):
        yield part(f"{file} in another folder", "files", i, "file", value="../net.tflite")
        yield part(f"{file} of no hash", "files", i, "sha256", value="zz")
        yield part(f"{file} with a hash in capitals", "files", i, "sha256", value=SHA.upper())
        yield part(f"{file} with an output of int16", "files", i, "output", value={"dtype": "int16"})
        yield part(f"{file} with no step of the output", "files", i, "output", value=STEPS | {"scale": 0})
        yield part(f"{file} with null for the output's step", "files", i, "output", value=STEPS | {"scale": None})
        yield part(f"{file} with a zero point of 256", "files", i, "output", value=STEPS | {"zero_point": 256})
        yield part(f"{file} with an input of int16", "files", i, "input", "dtype", value="int16")
        yield part(f"{file} that gives whole numbers", "files", i, "output", value=STEPS, accepted=True)
    yield case("a file that is described twice", files=[files[0], files[0]])
    yield part("no program for the reference", "reference", "kind", value="checkpoint")
    yield part("a program for the reference that is in no file", "reference", "file", value=None)
    yield case("a checkpoint for the reference", accepted=True,
               reference={"kind": "checkpoint", "file": None, "sha256": SHA})  # fmt: skip
    yield case("no word on what the file is made of", accepted=True,
               files=[without(file, "audit", "fine_tuned") | {"parity": None} for file in files])  # fmt: skip
    for side in (SIDE // 2, SIDE * 2):
        yield part(f"a mask of another side, {side}", "mask", "side", value=side)
    yield part("thresholds of another version of the output", "output", "abstain_threshold", value=0.5)
    yield part("an output without a threshold, and one in the decision", "output", "abstain_threshold", value=None)
    for wrong in ("a\nb", "a [b]", "a\u00a0b", "a\u200bb", "a\ue000"):
        yield part(f"a class named {wrong!r}", "labels", 0, "name", value=wrong)
    yield part("a class without a name of its own", "labels", 0, "name", value="", accepted=True)
    yield part(
        "a class named in another language", "labels", 0, "name", value="Muttermal, gutartig (日本)", accepted=True
    )
    yield case("null for a self-test", self_test=[None])
    yield case("a self-test image in another folder", self_test=[tests[0] | {"image": "../self_test_0.png"}])
    yield case("a self-test without what is expected", self_test=[tests[0] | {"expected": None}])
    one = {file["file"]: [1.0] for file in files}
    yield case("a self-test that expects one class", self_test=[tests[0] | {"expected": one}])
    yield case("a self-test whose reference has one class", self_test=[tests[0] | {"reference": [1.0]}])
    for wrong in ([5, -4], [1.001, 0], [-0.001, 1]):
        expecting = {file["file"]: wrong for file in files}
        yield case(f"a self-test that expects {wrong}", self_test=[tests[0] | {"expected": expecting}])
        yield case(f"a self-test whose reference is {wrong}", self_test=[tests[0] | {"reference": wrong}])
    yield case(
        "a self-test that is a little above one", self_test=[tests[0] | {"reference": [1.0001, 0]}], accepted=True
    )
    for key in ("sha256", "rgb_sha256"):
        yield case(f"a self-test with no {key}", self_test=[tests[0] | {key: "zz"}])
    yield case("a self-test with null for answers", self_test=[tests[0] | {"answers": None}])
    yield case("a self-test with answers short", self_test=[tests[0] | {"answers": [1.0]}])
    yield case("a self-test with a text for an answer", self_test=[tests[0] | {"answers": ["0"] * PLACES}])


def changed(entry: dict[str, Any]) -> Any:
    """The manifest of a case."""
    changes = entry.get("changes", {})
    value = {key: there for key, there in (WHOLE | changes).items() if changes.get(key, there) is not None}
    if "part" in entry:
        value = json.loads(json.dumps(value))
        *way, last = entry["part"]["at"] or [None]
        if last is None:
            return entry["part"]["value"]
        place = value
        for key in way:
            place = place[key]
        if "value" in entry["part"]:
            place[last] = entry["part"]["value"]
        else:
            del place[last]
    return value


def is_read(entry: dict[str, Any]) -> bool:
    """Whether edge/manifest.py takes the changed manifest, read from its text as an app reads it."""
    try:
        from_json_value(json.loads(json.dumps(changed(entry))), where="manifest")
    except InputError:
        return False
    return True


def main() -> int:
    ruled = (
        part(name, *at, value=value, accepted=good)
        for name, at, value, good in spoilt(WHOLE, schema())
        if at != ["preprocess", "version"] or not good  # an app has a version of its own
    )
    cases = [*others(), *placed(), *asking(), *gates(), *ruled]
    for one in cases:
        if is_read(one) != one["accepted"]:
            raise SystemExit(f"{one['name']}: `accepted` is {one['accepted']}, and edge/manifest.py decides otherwise")
    text = json.dumps({"about": ABOUT, "manifest": WHOLE, "cases": cases}, ensure_ascii=False)
    # a case to each line, so that a change of one shows as one
    return write_or_check(text.replace('{"name": ', '\n{"name": ') + "\n", FILE, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
