"""From a checkpoint to files of every recipe: what is written, and what each file and the manifest say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert import to_coreml, to_tflite
from convert._judge import broken_rules
from convert._tflite import file as _tflite
from convert._tflite import measured
from convert._tflite.audit import INT8
from convert._tflite.channel_scales import SUFFIX
from convert._tflite.layers import name_of, weighted
from dermedge.commands import parity
from edge import artifact, checkpoint
from edge.files import size as size_of
from edge.labels import PAD_UFES_20
from edge.phones import mediapipe
from edge.runtimes.litert import LiteRT
from edge.runtimes.reference import Reference
from edge.scheme import load as load_scheme
from tests._phones import needs_mediapipe
from tests.convert._random_weights import SIDE

pytestmark = pytest.mark.slow(reason="converts a network in every recipe, and judges each")

NEAR = 2e-6  # of a probability
RECIPES = ("fp32", "fp16", "int8-weights", "int8-dynamic", "int8", "int8-io")
COREML_RECIPES = ("fp32", "fp16", "int8-weights", "int8", "palette8", "palette6", "palette4")


@pytest.fixture(scope="module")
def build(tmp_path_factory, given: list[str]) -> Path:
    """All six TFLite files, converted once by the command."""
    home = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(home / "cache"))
        patch.setattr(measured, "IMAGES", 48)  # a choice of layers by fewer images
        assert to_tflite.main([*given, "--out", str(home / "build")]) == 0
    return home / "build"


def test_every_recipe_is_written_and_described(build: Path) -> None:
    manifest = artifact.read(build)
    artifact.verify(build, manifest)
    assert {entry.recipe for entry in manifest.files} == set(RECIPES)
    assert [label.code for label in manifest.labels] == [label.code for label in PAD_UFES_20]
    assert manifest.parameters == 1_078_390
    assert not list(build.glob(".unfinished*"))
    by_recipe = {entry.recipe: entry for entry in manifest.files}
    assert by_recipe["fp32"].parity.verdict == by_recipe["fp16"].parity.verdict == "pass"
    assert by_recipe["int8"].bytes < by_recipe["fp16"].bytes < by_recipe["fp32"].bytes
    made_of = {recipe: by_recipe[recipe].audit for recipe in RECIPES}
    assert all(a.largest_rank == 4 and a.layout_operators <= 90 for a in made_of.values())
    assert not any(broken_rules(made_of[recipe], recipe) for recipe in ("fp32", "int8-dynamic"))
    assert made_of["int8-dynamic"].macs_8bit > 0.8 * made_of["int8-dynamic"].macs


def test_float_file_gives_the_torch_models_probabilities(build: Path, weights: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    expected = Reference(checkpoint.load(weights)).run(images).probabilities
    assert np.ptp(expected, axis=0).max() > 100 * NEAR  # the pictures make a difference
    for mode in ("xnnpack", "reference"):
        runtime = LiteRT(build / "hierattn_xs-fp32.tflite", mode=mode)
        np.testing.assert_allclose(runtime.run(images).probabilities, expected, atol=NEAR)
        runtime.close()


def test_forced_fp16_is_close_and_not_the_same(build: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    answers = {
        mode: LiteRT(build / "hierattn_xs-fp32.tflite", mode=mode).run(images).probabilities
        for mode in ("xnnpack", "xnnpack-fp16")
    }
    difference = np.abs(answers["xnnpack"] - answers["xnnpack-fp16"]).max()
    assert 1e-6 < difference < 0.02  # fp16 has 11 bits: a mode that changed nothing would be no simulation


def test_facts_are_inside_the_file(build: Path, weights: Path) -> None:
    facts = _tflite.read_metadata((build / "hierattn_xs-int8.tflite").read_bytes())
    assert facts["recipe"] == "int8"
    assert facts["checkpoint_sha256"] == checkpoint.load(weights).sha256
    assert facts["output"]["temperature"] == 1.3
    model = _tflite.unpack((build / "hierattn_xs-fp16.tflite").read_bytes())
    assert b"reduced_precision_support" not in [
        entry.name for entry in model.metadata
    ]  # fp16 arithmetic was not judged
    assert model.signatureDefs[0].inputs[0].name == b"image"
    assert model.signatureDefs[0].outputs[0].name == b"probabilities"


@needs_mediapipe
def test_mediapipe_gives_the_manifests_probabilities_with_every_file(build: Path) -> None:
    from PIL import Image

    tested = artifact.read(build).self_test[0]
    images = np.asarray(Image.open(build / tested.image))[None]
    for name, expected in tested.expected.items():
        answer = mediapipe.classify(build / name, images)
        assert answer.codes == tuple(label.code for label in PAD_UFES_20)
        np.testing.assert_allclose(answer.probabilities[0], expected, atol=1e-6, err_msg=name)


def test_self_test_can_be_repeated_by_an_app(build: Path) -> None:
    from PIL import Image

    manifest = artifact.read(build)
    assert len(manifest.self_test) == 2
    for entry in manifest.self_test:
        rgb = np.asarray(Image.open(build / entry.image))
        assert set(entry.expected) == {f"hierattn_xs-{recipe}.tflite" for recipe in RECIPES}
        for name, expected in entry.expected.items():
            np.testing.assert_allclose(LiteRT(build / name).run(rgb[None]).probabilities[0], expected, atol=1e-6)
        np.testing.assert_allclose(entry.expected["hierattn_xs-fp32.tflite"], entry.reference, atol=NEAR)


def test_parity_writes_its_three_pages(build: Path, given: list[str], tmp_path: Path) -> None:
    assert parity.main([str(build), *given, "--images", "12", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "parity.json").read_text())
    assert report["data"]["synthetic"] is True
    assert {(f["recipe"], f["runtime"]) for f in report["files"]} >= {("fp16", "xnnpack"), ("fp16", "xnnpack-fp16")}
    assert "synthetic" in (tmp_path / "report.html").read_text().lower()
    assert (tmp_path / "parity.xml").read_text().startswith("<?xml")


@pytest.mark.slow(reason="measures int8 a second time")
def test_what_was_measured_is_kept_and_gives_the_same_files(
    build: Path, weights: Path, tmp_path: Path, capsys, no_photographs: None
) -> None:
    """What a clone without photographs does: convert with the rounding and the scheme that travel with the weights."""
    stems = [weights.with_suffix(kind) for kind in (".safetensors", ".json")]
    kept = [build / f"checkpoint{kind}" for kind in (".rounding.npz", ".scheme.json")]
    for path in (*stems, *kept):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    arguments = ["--checkpoint", str(tmp_path / weights.name), "--verbose", "--out", str(tmp_path / "out")]
    assert to_tflite.main([*arguments, "--recipe", "int8", "--recipe", "int8-weights"]) == 0
    assert "as kept with the checkpoint" in " ".join(capsys.readouterr().out.split())
    for recipe in ("int8", "int8-weights"):
        name = f"hierattn_xs-{recipe}.tflite"
        assert (tmp_path / "out" / name).read_bytes() == (build / name).read_bytes()
    # a scheme that was changed by hand is refused, and says what to do
    scheme = json.loads((tmp_path / kept[1].name).read_text())
    scheme["layers"][3]["tensor"] = "foo"
    (tmp_path / kept[1].name).write_text(json.dumps(scheme))
    assert to_tflite.main([*arguments, "--recipe", "int8", "--force"]) == 2
    assert "--measure-again" in capsys.readouterr().err
    # of another checkpoint nothing is taken
    held = checkpoint.load(weights)
    checkpoint.save(replace(held, state=changed(held)), tmp_path / "checkpoint")
    arguments[-1] = str(tmp_path / "other")
    assert to_tflite.main([*arguments, "--recipe", "int8-weights"]) == 0
    assert "measured on" in capsys.readouterr().out


def changed(held: checkpoint.Checkpoint) -> dict:
    state = dict(held.state)
    state["classifier.bias"] = state["classifier.bias"] + 0.5
    return state


@pytest.mark.slow(reason="lowers the network twice")
def test_the_graph_key_knows_the_graph_and_not_the_weights(build: Path, weights: Path) -> None:
    float32 = (build / "hierattn_xs-fp32.tflite").read_bytes()
    held = checkpoint.load(weights)
    assert _tflite.graph_key(_tflite.float_model(held).content) == _tflite.graph_key(float32)
    again = _tflite.float_model(replace(held, state=changed(held))).content
    assert again != float32 and _tflite.graph_key(again) == _tflite.graph_key(float32)
    assert _tflite.graph_key((build / "hierattn_xs-int8.tflite").read_bytes()) != _tflite.graph_key(float32)


def test_bytes_in_give_the_answers_of_numbers_in(build: Path) -> None:
    images = np.random.default_rng(3).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    numbers, bytes_in = (LiteRT(build / f"hierattn_xs-{recipe}.tflite") for recipe in ("int8", "int8-io"))
    assert (numbers.image.dtype, bytes_in.image.dtype) == (np.float32, np.uint8)
    np.testing.assert_array_equal(numbers.run(images).probabilities, bytes_in.run(images).probabilities)
    by_recipe = {entry.recipe: entry for entry in artifact.read(build).files}
    assert by_recipe["int8-io"].dtype == "uint8" and by_recipe["int8"].dtype == "float32"


def test_the_scheme_lies_beside_the_file_and_names_modules(build: Path, weights: Path) -> None:
    scheme = load_scheme(build / "hierattn_xs-int8.scheme.json")
    held = checkpoint.load(weights)
    assert scheme.checkpoint_sha256 == held.sha256
    named = {layer.module: layer for layer in scheme.layers if layer.module}
    modules = dict(held.network().named_modules())
    assert set(named) <= set(modules) and {"stem.0", "classifier", "layer3.1.blocks.0.attention.qkv"} <= set(named)
    assert named["stem.0"].normalised_by == "stem.1" and named["layer3.1.widen"].normalised_by is None
    assert named["stem.0"].input in (None, (0.0, 255.0))  # the picture's own bytes
    # the file is what the scheme says: 8-bit weights where a layer is not float
    model = _tflite.unpack((build / "hierattn_xs-int8.tflite").read_bytes())
    kinds = {layer.tensor: layer.kind for layer in scheme.layers}
    checked = 0
    for layer in weighted(model):
        name = name_of(model, layer.output).removesuffix(SUFFIX.decode()).removesuffix("_quantized")
        is_8bit = model.subgraphs[0].tensors[layer.weight].type == INT8
        checked += name in kinds
        assert is_8bit == (kinds.get(name, "static") != "float"), name
    assert checked > 0.9 * len(kinds)
    assert {layer.kind for layer in scheme.layers} >= {"static", "dynamic"}


@pytest.fixture(scope="module")
def packages(build: Path, given: list[str]) -> Path:
    """The Core ML packages beside the TFLite files, converted once by the command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(build.parent / "cache"))
        assert to_coreml.main([*given, "--out", str(build)]) == 0
    return build


@pytest.mark.slow(reason="seven Core ML packages")
def test_core_ml_packages_say_what_the_contract_says(packages: Path) -> None:
    from edge.runtimes.coreml_package import describe, shortcomings

    codes = [label.code for label in PAD_UFES_20]
    manifest = artifact.read(packages)
    described = [entry for entry in manifest.files if entry.format == "mlpackage"]
    assert {entry.recipe for entry in described} == set(COREML_RECIPES)
    assert len(manifest.files) == len(RECIPES) + len(COREML_RECIPES)  # the .tflite files are still described
    for recipe in COREML_RECIPES:
        package = describe(packages / f"hierattn_xs-{recipe}.mlpackage")
        assert shortcomings(package, recipe=recipe, side=SIDE, labels=codes) == []
        assert package.ops["softmax"] >= 1
        # each kind of mistake is seen
        assert shortcomings(package, recipe=recipe, side=SIDE + 32, labels=codes)
        assert shortcomings(package, recipe=recipe, side=SIDE, labels=codes[::-1])
        assert shortcomings(package, recipe="fp32" if recipe != "fp32" else "fp16", side=SIDE, labels=codes)
    size = {recipe: size_of(packages / f"hierattn_xs-{recipe}.mlpackage") for recipe in COREML_RECIPES}
    assert size["int8-weights"] < 0.65 * size["fp16"] < 0.4 * size["fp32"]
    assert size["palette4"] < size["palette6"] < size["palette8"] < 0.65 * size["fp16"]
    assert size["int8-weights"] / manifest.parameters <= 1.25 and size["palette4"] / manifest.parameters <= 0.72


@pytest.mark.slow(reason="seven Core ML packages")
def test_core_ml_packages_are_run_and_judged(packages: Path, weights: Path) -> None:
    from edge.runtimes.coreml.classifier import CoreML

    by_recipe = {e.recipe: e for e in artifact.read(packages).files if e.format == "mlpackage"}
    assert by_recipe["fp32"].parity.verdict == by_recipe["fp16"].parity.verdict == "pass"
    assert by_recipe["palette4"].parity.sqnr_db_median < by_recipe["palette8"].parity.sqnr_db_median
    images = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    expected = Reference(checkpoint.load(weights)).run(images).probabilities
    found = CoreML(packages / "hierattn_xs-fp32.mlpackage").run(images).probabilities
    np.testing.assert_allclose(found, expected, atol=NEAR)
    half = CoreML(packages / "hierattn_xs-fp16.mlpackage").run(images).probabilities
    assert 1e-6 < np.abs(half - expected).max() < 0.02  # it computes in fp16
