"""Files that take answers beside the picture: made of the image-only ones, exactly those while nothing is answered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import dermedge
from convert._answered import test_vectors as vectors_of_the_self_test
from convert._answered import words_on_former_answers
from convert._coreml.second_input import Builder, store
from convert._tflite import format as _tflite
from convert._tflite.file import read_metadata
from convert._tflite.second_input import with_second_input
from edge import artifact
from edge.answers import encode
from edge.build import Build, open_build
from edge.checkpoint import Checkpoint
from edge.data import selection
from edge.errors import InputError
from edge.nine_questions import QUESTIONS
from edge.phones import netron
from edge.runtimes.coreml.program import read_spec
from edge.runtimes.coreml_package import describe, shortcomings
from edge.runtimes.open import open_file
from edge.runtimes.reference import Reference
from edge.tflite.flatbuffer import constant_of, pack, unpack
from tests._answering import SIDE, K, Q, small, with_log_odds
from tests._phones import needs_netron

pytestmark = [
    pytest.mark.filterwarnings("ignore:Function _TORCH_OPS_REGISTRY:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Saving value type of int64:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning"),
]
Convert = Callable[..., Build]
ALL_TFLITE = ["fp32", "fp16", "int8-weights", "int8-dynamic", "int8", "int8-io"]
GIVEN = {"age": 47, "region": "nose", "itches": True, "raised": False}
OFF = {"fp32": 1e-6, "fp16": 1e-3, "int8": 2e-2, "int8-io": 2e-2}  # of a probability; of the others 1e-2


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return small(temperature=1.5)


@pytest.fixture(scope="module")
def convert(sample: Path) -> Convert:
    """Converted and judged on a few drawn photographs."""
    return partial(dermedge.convert, photos=sample, answers=True)


@pytest.fixture(scope="module")
def build(tmp_path_factory, sample: Path, convert: Convert, checkpoint: Checkpoint) -> Build:
    """Converted without answers first, then with them: `alone.json` is the manifest of the first time."""
    home = tmp_path_factory.mktemp("answers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(home / "cache"))
        patch.setattr(selection, "synthetic_sample", lambda: sample)  # no larger one is drawn for the ranges
        convert(checkpoint, out=home / "build", answers=False)
        shutil.copy(home / "build" / "manifest.json", home / "build" / "alone.json")
        convert(checkpoint, out=home / "build", force=True)
        return convert(checkpoint, out=home / "build", formats=["coreml"], recipes=["fp32", "fp16", "int8-weights"])


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(1)
    random = (rng.random((2, Q)) < 0.3).astype(np.float32)
    return np.concatenate([encode(GIVEN, QUESTIONS)[None], random])


def test_each_recipe_has_both_files(build: Build) -> None:
    assert build.rejected == ()
    names = {entry.file: entry.answers for entry in build.manifest.files}
    recipes = [*(f"{recipe}.tflite" for recipe in ALL_TFLITE), "fp32.mlpackage", "fp16.mlpackage",
               "int8-weights.mlpackage"]  # fmt: skip
    wanted = {f"small-{recipe}": False for recipe in recipes} | {f"small-answers-{recipe}": True for recipe in recipes}
    assert names == wanted


@needs_netron
def test_netron_opens_every_file_and_names_what_goes_in_and_out(build: Build) -> None:
    for entry in build.manifest.files:
        seen = netron.shown(build.folder / entry.file)
        assert entry.recipe in seen.description and seen.metadata["author"] == "dermedge", entry.file
        inputs, outputs = ({end.name: end for end in ends} for ends in (seen.inputs, seen.outputs))
        assert inputs.keys() == ({"image", "answers"} if entry.answers else {"image"}), entry.file
        assert outputs.keys() - {"classLabel"} == {"probabilities"}, entry.file
        assert all(end.description for end in (*inputs.values(), *outputs.values())), entry.file


def test_the_image_only_files_are_those_that_are_made_without_answers(build: Build) -> None:
    before = json.loads((build.folder / "alone.json").read_text())
    assert len(before["files"]) == len(ALL_TFLITE)
    for entry in before["files"]:
        assert build.manifest.entry(entry["file"]).sha256 == entry["sha256"]
    assert before["questions"] == [] and "log_odds" not in before
    assert all("answers" not in entry for entry in before["self_test"])


def test_answers_add_their_log_odds_in_every_file(build: Build, checkpoint: Checkpoint, images, vectors) -> None:
    """Against the rule in float64, from the image-only torch model; and nothing at all where nothing is answered."""
    model = Reference(checkpoint).run(images).probabilities
    wanted = with_log_odds(model, checkpoint, vectors)
    assert np.abs(wanted - model).max() > 0.1
    with_answers = [entry for entry in build.manifest.files if entry.answers]
    assert len(with_answers) == 9
    for entry in with_answers:
        alone = open_file(build.folder / entry.file.replace("-answers", ""), entry.format)
        both = open_file(build.folder / entry.file, entry.format)
        assert (alone.answer_places, both.answer_places) == (0, Q)
        np.testing.assert_array_equal(both.run(images).probabilities, alone.run(images).probabilities)
        found = both.run(images, vectors).probabilities
        np.testing.assert_allclose(found, wanted, atol=OFF.get(entry.recipe, 1e-2), err_msg=entry.file)
        alone.close()
        both.close()


@pytest.mark.parametrize("ending", ["softmax", "mixed"])
def test_networks_of_probabilities_take_answers(ending: str, convert: Convert, tmp_path: Path, images, vectors) -> None:
    checkpoint = small(ending)
    build = convert(checkpoint, out=tmp_path, formats=["tflite", "coreml"], recipes=["fp32"])
    assert build.rejected == () and len(build.manifest.files) == 4
    wanted = with_log_odds(Reference(checkpoint).run(images).probabilities, checkpoint, vectors)
    for entry in build.manifest.files:
        if entry.answers:
            opened = open_file(tmp_path / entry.file, entry.format)
            found = opened.run(images, vectors).probabilities
            np.testing.assert_allclose(found, wanted, atol=OFF.get(entry.recipe, 1e-2), err_msg=entry.file)
            opened.close()


def test_a_package_has_each_name_once(build: Build, tmp_path: Path) -> None:
    """As the format's text says: "names are unique within the block"."""
    packages = [entry for entry in build.manifest.files if entry.format == "mlpackage"]
    assert [describe(build.folder / entry.file).repeated for entry in packages] == [()] * 6
    for answers, name in ((0, "small-fp32"), (Q, "small-answers-fp32")):
        broken = tmp_path / f"{name}.mlpackage"
        shutil.copytree(build.folder / broken.name, broken)
        said = partial(shortcomings, recipe="fp32", side=SIDE, labels=list(build.manifest.codes), answers=answers)
        assert said(describe(broken)) == []
        spec = read_spec(broken)
        function = spec.mlProgram.functions["main"]
        first, *_, last = function.block_specializations[function.opset].operations
        first.outputs[0].name = last.outputs[1].name
        store(spec, broken)
        assert said(describe(broken)) == [
            "two values of one block have the name probabilities, expected each name once"
        ]


def test_a_softmax_that_something_else_reads_stays_as_it_is(build: Build, images, vectors) -> None:
    """Answers in front of it would reach the other reader, too."""
    spec = read_spec(build.folder / "small-fp32.mlpackage")
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    (softmax,) = [op for op in block.operations if op.type == "softmax"]
    reader = block.operations.add()
    reader.CopyFrom(next(op for op in block.operations if op.type == "relu"))
    reader.inputs["x"].arguments[0].name = softmax.outputs[0].name
    Builder(spec).add(np.zeros((K, Q), np.float32))
    kinds = [op.type for op in block.operations]
    assert "real_div" in kinds and "add" not in kinds


def test_the_sum_stays_float32_in_8_bit_files(build: Build, checkpoint: Checkpoint) -> None:
    for recipe in ALL_TFLITE:
        model = unpack((build.folder / f"small-answers-{recipe}.tflite").read_bytes())
        tensors = {tensor.name.decode(): place for place, tensor in enumerate(model.subgraphs[0].tensors)}
        held = constant_of(model, tensors["answers_log_odds"])
        np.testing.assert_array_equal(held, np.array(checkpoint.log_odds, np.float32))
        assert {model.subgraphs[0].tensors[tensors[name]].type for name in ("answers", "answered")} == {0}  # FLOAT32
        names = [entry.name.decode() for entry in model.signatureDefs[0].inputs]
        assert names == ["image", "answers"]


def test_files_say_inside_what_the_second_input_is(build: Build, checkpoint: Checkpoint) -> None:
    ids = [question.id for question in QUESTIONS]
    facts = read_metadata((build.folder / "small-answers-int8.tflite").read_bytes())
    assert facts["answers"] | {"meaning": ""} == {
        "name": "answers", "dtype": "float32", "shape": [1, Q], "meaning": ""
    }  # fmt: skip
    assert [question["id"] for question in facts["questions"]] == ids and np.shape(facts["log_odds"]) == (K, Q)
    assert "questions" not in read_metadata((build.folder / "small-int8.tflite").read_bytes())
    description = read_spec(build.folder / "small-answers-fp16.mlpackage").description
    told = description.metadata.userDefined
    assert [question["id"] for question in json.loads(told["dermedge.questions"])] == ids
    assert json.loads(told["dermedge.log_odds"]) == [list(row) for row in checkpoint.log_odds]
    (answers,) = [feature for feature in description.input if feature.name == "answers"]
    assert list(answers.type.multiArrayType.shape) == [1, Q] and "docs/answers.md" in answers.shortDescription


def test_coremltools_reads_the_program_and_agrees_on_its_types(build: Build) -> None:
    """Its own reader works out the type of each result anew."""
    from coremltools.converters.mil.frontend.milproto.load import load

    package = build.folder / "small-answers-fp32.mlpackage"
    spec = read_spec(package)
    program = load(spec, spec.specificationVersion, str(package / "Data" / "com.apple.CoreML" / "weights"))
    main = program.functions["main"]
    assert list(main.inputs) == ["image", "answers"]
    (softmax,) = [op for op in main.operations if op.op_type == "softmax"]
    assert softmax.x.op.op_type == "add" and softmax.x.shape == (1, K)


def test_the_manifest_says_how_each_case_was_judged(build: Build, checkpoint: Checkpoint) -> None:
    manifest = artifact.read(build.folder)
    assert manifest.questions == QUESTIONS and manifest.log_odds == checkpoint.log_odds
    for entry in manifest.files:
        cases = [case.answered for case in entry.parity.by_answers]
        assert cases == (["none", "some", "all"] if entry.answers else [])
        if entry.recipe == "fp32":
            assert {case.verdict for case in entry.parity.by_answers} <= {"pass"}


def test_old_phones_open_both_files_and_accelerators_see_nothing_new(build: Build) -> None:
    for entry in build.manifest.files:
        if entry.answers:
            alone = build.manifest.entry(entry.file.replace("-answers", ""))
            assert entry.opens_from == alone.opens_from
            rules = [[line.rpartition(" (")[2] for line in e.audit.warnings] for e in (entry, alone)]
            assert rules[0] == rules[1]  # there are more operators in float, which is told with their number
            assert entry.audit.xnnpack_partitions == alone.audit.xnnpack_partitions


def test_the_self_test_has_cases_without_and_with_answers(build: Build, checkpoint: Checkpoint) -> None:
    manifest = artifact.read(build.folder)
    plain, told = manifest.self_test[:2], manifest.self_test[2:]
    both = {entry.file for entry in manifest.files if entry.answers}
    assert [entry.answers for entry in plain] == [None, None]
    np.testing.assert_array_equal([entry.answers for entry in told], vectors_of_the_self_test(checkpoint, 2))
    for entry, before in zip(told, plain, strict=True):
        assert entry.expected.keys() == both and before.expected.keys() == {entry.file for entry in manifest.files}
        wanted = with_log_odds(np.array([before.reference]), checkpoint, np.array([entry.answers]))[0]
        np.testing.assert_allclose(entry.reference, wanted, atol=1e-6)
        np.testing.assert_allclose(entry.expected["small-answers-fp32.tflite"], wanted, atol=1e-5)


def test_what_adds_something_else_is_rejected(
    convert: Convert, checkpoint: Checkpoint, tmp_path: Path, monkeypatch
) -> None:
    """By the gate of fp32, and said with the case; the image-only file stays."""
    monkeypatch.setattr(_tflite, "with_second_input", lambda content, rows: with_second_input(content, 1.01 * rows))
    build = convert(checkpoint, out=tmp_path, recipes=["fp32"])
    assert build.rejected == ("small-answers-fp32.tflite",)
    assert any(reason.startswith("some answered: ") for reason in build.reasons)
    assert not any(reason.startswith("none answered: ") for reason in build.reasons)
    assert [entry.file for entry in build.manifest.files] == ["small-fp32.tflite"]
    assert build.manifest.questions == () and len(build.manifest.self_test) == 2


def test_what_changes_the_picture_alone_is_rejected(
    convert: Convert, checkpoint: Checkpoint, tmp_path: Path, monkeypatch
):
    """Another network in the float file, near enough for the gate, is not the same file with an input more."""

    def nudged(content: bytes, rows: np.ndarray) -> bytes:
        model = unpack(with_second_input(content, rows))
        place = next(p for p, t in enumerate(model.subgraphs[0].tensors) if t.name == b"answers_bias")
        buffer = model.buffers[model.subgraphs[0].tensors[place].buffer]
        buffer.data = np.array([1e-6] + [0] * (K - 1), np.float32).view(np.uint8)
        return pack(model)

    monkeypatch.setattr(_tflite, "with_second_input", nudged)
    build = convert(checkpoint, out=tmp_path, recipes=["fp32"])
    assert build.rejected == ("small-answers-fp32.tflite",)
    assert any("with nothing answered it is not small-fp32.tflite" in reason for reason in build.reasons)


def test_whole_numbers_at_the_end_are_refused(build: Build) -> None:
    model = unpack((build.folder / "small-fp32.tflite").read_bytes())
    softmax = model.subgraphs[0].operators[-1]
    model.subgraphs[0].tensors[softmax.inputs[0]].type = 9  # INT8
    with pytest.raises(InputError, match=r"no form of this file takes answers.*float32 scores \(1, 6\)"):
        with_second_input(pack(model), np.zeros((K, Q), np.float32))


def test_a_network_without_answers_is_refused(convert: Convert, checkpoint: Checkpoint, tmp_path: Path) -> None:
    alone = replace(checkpoint, questions=(), answers_weight=None)
    with pytest.raises(InputError, match=r"small takes no answers.*docs/answers.md"):
        convert(alone, out=tmp_path / "x", recipes=["fp32"])
    assert not (tmp_path / "x" / "manifest.json").exists()


def test_files_with_answers_of_former_image_only_files_are_named(build: Build) -> None:
    """As after `convert --force --recipe int8` without `--answers`: the new image-only file may be another."""
    manifest = build.manifest
    assert words_on_former_answers(manifest, manifest) == ""
    files = [replace(entry, sha256="0" * 64) if entry.file == "small-int8.tflite" else entry for entry in manifest.files
             if entry.file != "small-fp16.mlpackage"]  # fmt: skip
    said = words_on_former_answers(manifest, replace(manifest, files=tuple(files)))
    assert said.startswith("; small-answers-fp16.mlpackage, small-answers-int8.tflite: made of the image-only file")


def test_a_folder_of_other_answers_is_refused(build: Build, convert: Convert) -> None:
    """The weights of a network of one's own have the same SHA-256 whatever its answers add."""
    for answers in (True, False):  # the checkpoint that is kept beside the files would be another either way
        with pytest.raises(InputError, match="made with other answers than this checkpoint's"):
            other = small(seed=4, temperature=1.5)
            convert(other, out=build.folder, recipes=["fp32"], force=True, answers=answers)
    assert open_build(build.folder).manifest.log_odds == build.manifest.log_odds
