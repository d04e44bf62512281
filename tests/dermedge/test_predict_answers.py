"""What a person answered, beside a photograph, with a file and with a checkpoint: it counts, and is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dermedge
from dermedge.commands import predict
from edge.answers import encode
from edge.checkpoint import Checkpoint, save
from edge.data.synthetic import write_sample
from edge.errors import InputError
from edge.nine_questions import QUESTIONS
from edge.questions.mistakes import measure as mistakes
from edge.questions.mistakes.answers import ANSWERS_MISTAKES
from edge.questions.parity.measure import measure, seen_right
from edge.report.junit import junit
from tests._answering import SIDE, K, Q, small, with_log_odds

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")
GIVEN = {"age": 47, "region": "nose", "itches": True, "raised": False}


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    return write_sample(tmp_path_factory.mktemp("drawn") / "sample", seed=5, patients=6)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return small(temperature=1.5)


@pytest.fixture(scope="module")
def build(tmp_path_factory, checkpoint: Checkpoint, sample: Path) -> dermedge.Build:
    home = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(home / "cache"))
        save(checkpoint, home / "small")
        return dermedge.convert(
            home / "small.pt2", out=home / "build", recipes=["fp32", "fp16"], photos=sample, answers=True
        )


@pytest.fixture(scope="module")
def photo(sample: Path) -> Path:
    return next(path for path in sorted(sample.rglob("*.jpg")))


@pytest.fixture
def written(tmp_path: Path) -> Callable[[object], str]:
    def write(answers: object) -> str:
        (tmp_path / "answers.json").write_text(json.dumps(answers))
        return str(tmp_path / "answers.json")

    return write


def test_answers_count_in_files_and_checkpoints(build, checkpoint: Checkpoint, photo: Path) -> None:
    for file in (build.folder / "small-answers-fp32.tflite", build.folder.parent / "small.pt2"):
        with dermedge.open_model(file) as model:
            assert model.questions == QUESTIONS
            alone, told = model.predict(photo), model.predict(photo, answers=GIVEN | {"grew": None})
            squares = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
            both = model.probabilities(squares, answers=np.tile(encode(GIVEN, QUESTIONS), (2, 1)))
            single = model.probabilities(squares)
        vector = encode(GIVEN, QUESTIONS)[None]
        codes = [label.code for label in checkpoint.labels]
        wanted = with_log_odds(np.array([[alone.probabilities[code] for code in codes]]), checkpoint, vector)[0]
        np.testing.assert_allclose([told.probabilities[code] for code in codes], wanted, atol=1e-5)
        np.testing.assert_allclose(both, with_log_odds(single, checkpoint, np.tile(vector, (2, 1))), atol=1e-5)
        assert alone.answers == () and [counted.question for counted in told.answers] == list(GIVEN)
        assert {counted.question: counted.answer for counted in told.answers} == GIVEN
        # what all of them added together is the change of the log-odds
        added = np.array([[counted.log_odds[code] for code in codes] for counted in told.answers]).sum(axis=0)
        change = np.log(wanted) - np.log([alone.probabilities[code] for code in codes])
        np.testing.assert_allclose(added - added.mean(), change - change.mean(), atol=1e-4)


def test_the_command_says_what_counted(build, photo: Path, written, capsys) -> None:
    flags = [str(photo), "--with", str(build.folder / "small-answers-fp32.tflite"), "--answers", written(GIVEN)]
    assert predict.main(flags) == 0
    said = capsys.readouterr().out
    assert "age: 47: ACK " in said and "itches: yes: ACK " in said and "raised: no" in said and "grew" not in said
    assert predict.main([*flags, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert [entry["question"] for entry in row["answers"]] == list(GIVEN)
    assert len(row["answers"][0]["log_odds"]) == K


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"age": 900}, "age is a number from 0 to 120"),
        ({"regoin": "nose"}, "no question is called 'regoin' (did you mean region?)"),
        ([], "expected a JSON object of answers"),
        ({"itches": "yes"}, "itches is true or false"),
    ],
)
def test_other_answers_are_refused(build, photo: Path, written, capsys, answers: object, said: str) -> None:
    flags = [str(photo), "--with", str(build.folder / "small-answers-fp32.tflite"), "--answers", written(answers)]
    assert predict.main(flags) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert said in error and "answers.json" in error


def test_answers_need_a_file_that_takes_them(build, sample: Path, photo: Path, written, capsys) -> None:
    flags = [str(photo), "--with", str(build.folder / "small-fp32.tflite"), "--answers", written(GIVEN)]
    assert predict.main(flags) == 2
    assert "small-fp32.tflite takes a picture alone" in " ".join(capsys.readouterr().err.split())
    flags = [str(sample), "--with", str(build.folder / "small-answers-fp32.tflite"), "--answers", written(GIVEN)]
    assert predict.main(flags) == 2
    assert "has the answers about one photograph" in " ".join(capsys.readouterr().err.split())
    with dermedge.open_model(build.folder / "small-fp32.tflite") as model:
        assert model.questions == ()
        with pytest.raises(InputError, match="takes a picture alone"):
            model.predict(photo, answers={})
        with pytest.raises(InputError, match="takes a picture alone"):
            model.probabilities(np.zeros((1, SIDE, SIDE, 3), np.uint8), answers=np.zeros((1, Q), np.float32))


def test_a_manifest_of_fewer_questions_than_the_file_takes_is_refused(build, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "build"
    shutil.copytree(build.folder, folder)
    path = folder / "manifest.json"
    facts = json.loads(path.read_text())
    facts["questions"] = facts["questions"][:-1]
    facts["log_odds"] = [row[:-2] for row in facts["log_odds"]]
    facts["self_test"] = facts["self_test"][:2]
    path.write_text(json.dumps(facts))
    with pytest.raises(InputError, match="takes answers of 33 places, its manifest has 31"):
        dermedge.open_model(folder / "small-answers-fp32.tflite")
    with pytest.raises(InputError, match=r"manifest\.json has the questions"):
        dermedge.open_build(folder)


def test_parity_judges_each_case(build, sample: Path) -> None:
    report = measure(build, sample)
    rows = {(row["file"], row["runtime"], row["answered"]): row["verdict"] for row in report.report["files"]}
    assert {case for file, _, case in rows if file == "small-answers-fp32.tflite"} == {"none", "some", "all"}
    assert {case for file, _, case in rows if file == "small-fp32.tflite"} == {None}
    assert all(verdict == "pass" for (_, mode, _), verdict in rows.items() if mode == "xnnpack")
    assert "small-answers-fp16.tflite (some answered) on xnnpack" in junit(report.report)


def test_a_phone_is_right_only_with_every_case() -> None:
    rows = [
        {"file": name, "runtime": "android", "answered": case, "verdict": verdict, "times_fp32": None}
        for name, verdicts in (("a", ("pass", "pass", "pass")), ("b", ("pass", "fail", "pass")))
        for case, verdict in zip(("none", "some", "all"), verdicts, strict=True)
    ]
    assert [file for file, _ in seen_right({"files": rows})] == ["a"]


def test_questions_about_pictures_leave_these_files_out(build, sample: Path, capsys) -> None:
    assert {entry.file for entry in build.chosen(None)} == {"small-fp32.tflite", "small-fp16.tflite"}
    assert [entry.file for entry in build.chosen(["fp16"])] == ["small-fp16.tflite"]
    with pytest.raises(InputError, match=r"small-answers-fp32\.tflite takes answers.*name small-fp32\.tflite"):
        build.chosen(["small-answers-fp32.tflite"])


def test_mistakes_with_answers_cost_something(build, sample: Path) -> None:
    report = mistakes.measure(build, sample, images=4)
    rows = {row["code"]: row for row in report.report["mistakes"]}
    codes = [mistake.code for mistake in ANSWERS_MISTAKES]
    assert codes == ["answers-order", "answers-forgotten", "answers-no"] and rows.keys() >= set(codes)
    for code in codes:
        assert rows[code]["forms"].keys() == rows["bgr"]["forms"].keys()
        assert rows[code]["forms"]["float"]["median_delta_p"] > 0.01
    assert report.tables()
    spoiled = {mistake.code: mistake.spoil(encode(GIVEN, QUESTIONS), QUESTIONS) for mistake in ANSWERS_MISTAKES}
    assert not spoiled["answers-forgotten"].any()
    left_out = {"grew": False, "hurts": False, "changed": False, "bleeds": False}
    np.testing.assert_array_equal(spoiled["answers-no"], encode(GIVEN | left_out, QUESTIONS))
    ids = sorted(question.id for question in QUESTIONS)
    places = {question.id: range(question.offset, question.offset + question.length) for question in QUESTIONS}
    vector = encode(GIVEN, QUESTIONS)
    wanted = [vector[place] for name in ids for place in places[name]]
    np.testing.assert_array_equal(spoiled["answers-order"], wanted)


def test_without_such_files_no_answers_are_wrong(build, checkpoint: Checkpoint, tmp_path: Path, sample: Path) -> None:
    alone = dermedge.convert(checkpoint, out=tmp_path, recipes=["fp32"], photos=sample)
    rows = mistakes.measure(alone, sample, images=2).report["mistakes"]
    assert not any(row["code"].startswith("answers-") for row in rows)
