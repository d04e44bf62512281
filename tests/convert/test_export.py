"""From a checkpoint to files: what is written, what is refused, and that a wrong file is caught."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from convert import _tflite, _tflite_format, to_coreml, to_tflite
from convert._audit import INT8
from convert._layers import name_of, weighted
from edge import artifact, checkpoint
from edge.commands import parity, predict, simulate
from edge.data.readers import open_photos
from edge.data.synthetic import write_sample
from edge.files import sha256
from edge.labels import PAD_UFES_20
from edge.models import create_model
from edge.preprocess import PREPROCESS_VERSION
from edge.runtimes.litert import LiteRT
from edge.runtimes.reference import Reference
from edge.scheme import load as load_scheme

SIDE = 64  # pixels; small, so that lowering is what takes the time
ROOT = Path(__file__).parents[2]
RECIPES = ("fp32", "fp16", "int8-weights", "int8-dynamic", "int8", "int8-io")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def sample(home: Path) -> Path:
    return write_sample(home / "sample", seed=5, patients=8)


@pytest.fixture(scope="module")
def weights(home: Path) -> Path:
    """Random weights whose answers depend on the picture: batch norm has seen colours."""
    torch.manual_seed(0)
    net = create_model("hierattn_xs")
    net.train()
    with torch.no_grad():
        for _ in range(20):
            net(torch.rand(8, 3, SIDE, SIDE) * torch.rand(8, 3, 1, 1))
    net.classifier.weight.data *= 8  # answers that are not all alike
    held = checkpoint.Checkpoint(
        model="hierattn_xs",
        labels=PAD_UFES_20,
        preprocess=checkpoint.Preprocess(PREPROCESS_VERSION, SIDE),
        state=net.state_dict(),
        temperature=1.3,
    )
    checkpoint.save(held, home / "checkpoint")
    return home / "checkpoint.safetensors"


@pytest.fixture(scope="module")
def build(home: Path, weights: Path, sample: Path, module_cache: None) -> Path:
    """All six TFLite files, converted once by the command."""
    folder = home / "build"
    code = to_tflite.main(["--checkpoint", str(weights), "--data", str(sample), "--out", str(folder)])
    assert code == 0
    return folder


@pytest.fixture(scope="module")
def module_cache(home: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(home / "cache"))
        patch.delenv("DERMEDGE_PHOTOS", raising=False)
        yield


def test_every_recipe_is_written_and_described(build: Path) -> None:
    manifest = artifact.read(build)
    artifact.verify(build, manifest)
    assert {entry["recipe"] for entry in manifest["files"]} == set(RECIPES)
    assert [label["code"] for label in manifest["labels"]] == [label.code for label in PAD_UFES_20]
    assert manifest["parameters"] == 1_078_390
    assert not list(build.glob(".unfinished*"))
    by_recipe = {entry["recipe"]: entry for entry in manifest["files"]}
    assert by_recipe["fp32"]["parity"]["verdict"] == by_recipe["fp16"]["parity"]["verdict"] == "pass"
    assert by_recipe["int8"]["bytes"] < by_recipe["fp16"]["bytes"] < by_recipe["fp32"]["bytes"]
    made_of = {recipe: by_recipe[recipe]["audit"] for recipe in RECIPES}
    assert all(a["largest_rank"] == 4 and a["layout_operators"] <= 90 for a in made_of.values())
    assert made_of["fp32"]["warnings"] == made_of["int8-dynamic"]["warnings"] == []
    assert made_of["int8-dynamic"]["macs_8bit"] > 0.8 * made_of["int8-dynamic"]["macs"]


def test_float_file_gives_the_torch_models_probabilities(build: Path, weights: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    expected = Reference(checkpoint.load(weights)).run(images)
    assert np.ptp(expected, axis=0).max() > 1e-3  # the pictures make a difference
    for mode in ("xnnpack", "reference"):
        runtime = LiteRT(build / "hierattn_xs-fp32.tflite", mode=mode)
        np.testing.assert_allclose(runtime.run(images), expected, atol=2e-6)
        runtime.close()


def test_forced_fp16_is_close_and_not_the_same(build: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    answers = {
        mode: LiteRT(build / "hierattn_xs-fp32.tflite", mode=mode).run(images) for mode in ("xnnpack", "xnnpack-fp16")
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


def test_self_test_can_be_repeated_by_an_app(build: Path) -> None:
    from PIL import Image

    manifest = artifact.read(build)
    assert len(manifest["self_test"]) == 2
    for entry in manifest["self_test"]:
        rgb = np.asarray(Image.open(build / entry["image"]))
        assert set(entry["expected"]) == {f"hierattn_xs-{recipe}.tflite" for recipe in RECIPES}
        for name, expected in entry["expected"].items():
            np.testing.assert_allclose(LiteRT(build / name).run(rgb[None])[0], expected, atol=1e-6)
        np.testing.assert_allclose(entry["expected"]["hierattn_xs-fp32.tflite"], entry["reference"], atol=2e-6)


def test_existing_output_is_not_overwritten(build: Path, weights: Path, sample: Path, capsys) -> None:
    before = artifact.read(build)
    code = to_tflite.main(
        ["--checkpoint", str(weights), "--data", str(sample), "--out", str(build), "--recipe", "fp32"]
    )
    assert code == 2
    assert "--force" in capsys.readouterr().err
    assert artifact.read(build) == before


def test_parity_writes_its_three_pages(
    build: Path, weights: Path, sample: Path, tmp_path: Path, module_cache: None
) -> None:
    arguments = [
        str(build),
        "--checkpoint",
        str(weights),
        "--data",
        str(sample),
        "--images",
        "12",
        "--out",
        str(tmp_path),
    ]
    assert parity.main(arguments) == 0
    report = json.loads((tmp_path / "parity.json").read_text())
    assert report["data"]["synthetic"] is True
    assert {(f["recipe"], f["runtime"]) for f in report["files"]} >= {("fp16", "xnnpack"), ("fp16", "xnnpack-fp16")}
    assert "synthetic" in (tmp_path / "report.html").read_text().lower()
    assert (tmp_path / "parity.xml").read_text().startswith("<?xml")


def test_parity_fails_on_a_wrong_file(
    home: Path, build: Path, weights: Path, sample: Path, tmp_path: Path, module_cache: None
) -> None:
    """The same network with red and blue swapped in the first layer passes as a file and must fail as an answer."""
    right = checkpoint.load(weights)
    state = dict(right.state)
    state["stem.0.weight"] = state["stem.0.weight"].flip(1)
    content = _tflite.float_model(replace(right, state=state)).content
    manifest = artifact.read(build)
    entry = next(e for e in manifest["files"] if e["recipe"] == "fp32")
    target = tmp_path / entry["file"]
    target.write_bytes(content)
    entry = {**entry, "sha256": artifact.sha256(target), "bytes": target.stat().st_size}
    artifact.write(tmp_path, {**manifest, "files": [entry]})
    arguments = [str(tmp_path), "--checkpoint", str(weights), "--data", str(sample), "--images", "12"]
    assert parity.main(arguments) == 1
    assert "<failure" in (tmp_path / "parity.xml").read_text()


def test_a_file_that_fails_its_gate_is_not_kept(
    weights: Path, sample: Path, tmp_path: Path, monkeypatch, capsys, module_cache: None, build: Path
) -> None:
    """Conversion that loses something (here: the temperature) exits 1 and leaves no file of that recipe."""
    good = (build / "hierattn_xs-fp32.tflite").read_bytes()
    held = checkpoint.load(weights)
    monkeypatch.setattr(_tflite_format, "float_model", lambda checkpoint: _tflite.Lowered(good, {}, "by hand"))
    checkpoint.save(replace(held, temperature=2.0), tmp_path / "other")
    arguments = ["--checkpoint", str(tmp_path / "other.safetensors"), "--data", str(sample), "--recipe", "fp32"]
    assert to_tflite.main([*arguments, "--out", str(tmp_path / "out")]) == 1
    assert "rejected" in capsys.readouterr().out
    assert not (tmp_path / "out" / "hierattn_xs-fp32.tflite").exists()
    assert artifact.read(tmp_path / "out")["files"] == []


@pytest.mark.slow
def test_an_operation_without_an_operator_goes_through_litert_torch(weights: Path, tmp_path: Path, monkeypatch) -> None:
    from convert._emit._lower import TABLE
    from convert._graph import aten

    monkeypatch.delitem(TABLE, aten.gelu.default)
    lowered = _tflite.float_model(checkpoint.load(weights))
    assert "litert-torch" in lowered.by and "aten.gelu" in lowered.by
    (tmp_path / "x.tflite").write_bytes(lowered.content)
    images = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    runtime = LiteRT(tmp_path / "x.tflite")
    np.testing.assert_allclose(runtime.run(images), Reference(checkpoint.load(weights)).run(images), atol=2e-6)
    runtime.close()


@torch.library.custom_op("dermedge_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


@twice.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        pytest.param(lambda x: twice(x), "no TFLite operator for dermedge_tests.twice", marks=pytest.mark.slow),
        pytest.param(lambda x: x + torch.nonzero(x).float().mean(), "aten.nonzero", marks=pytest.mark.slow),
        pytest.param(lambda x: x.sort(-1).values, "LiteRT cannot open", marks=pytest.mark.slow),
        (lambda x: x + 1 if x.sum() > 0 else x, "data-dependent"),
    ],
    ids=[
        "a custom operation",
        "a shape that depends on data",
        "one that litert-torch alone takes",
        "a branch that depends on data",
    ],
)
def test_an_operation_that_nobody_can_express_ends_in_words(
    weights: Path, sample: Path, tmp_path: Path, monkeypatch, capsys, module_cache: None, operation, words: str
) -> None:
    class Changed(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.softmax(operation(self.inner(image)), -1)

    right = _tflite.deployed
    monkeypatch.setattr(_tflite, "deployed", lambda held, layout: Changed(right(held, layout=layout)).eval())
    out = tmp_path / "out"
    arguments = ["--checkpoint", str(weights), "--data", str(sample), "--recipe", "fp32", "--out", str(out)]
    assert to_tflite.main(arguments) == 2
    said = capsys.readouterr().err
    assert "the conversion of hierattn_xs broke" in said and "Nothing was written" in said
    assert words in " ".join(said.split())
    assert {path.name for path in out.iterdir()} <= {"convert.log"}


def test_a_warning_binds_with_strict_alone(
    weights: Path, sample: Path, tmp_path: Path, monkeypatch, capsys, module_cache: None, build: Path
) -> None:
    good = (build / "hierattn_xs-fp32.tflite").read_bytes()
    monkeypatch.setattr(_tflite_format, "float_model", lambda checkpoint: _tflite.Lowered(good, {}, "by hand"))
    audit = _tflite_format.audit
    monkeypatch.setattr(_tflite_format, "audit", lambda path: audit(path) | {"warnings": ["gpu-rank: ABS has rank 7"]})
    arguments = ["--checkpoint", str(weights), "--data", str(sample), "--recipe", "fp32", "--out"]
    assert to_tflite.main([*arguments, str(tmp_path / "lenient")]) == 0
    assert "gpu-rank: ABS has rank 7" in capsys.readouterr().out
    assert artifact.read(tmp_path / "lenient")["files"][0]["audit"]["warnings"] == ["gpu-rank: ABS has rank 7"]
    assert to_tflite.main([*arguments, str(tmp_path / "strict"), "--strict"]) == 1
    assert "rejected" in capsys.readouterr().out
    assert not (tmp_path / "strict" / "hierattn_xs-fp32.tflite").exists()


def test_what_fails_takes_the_file_it_should_have_replaced_along(
    weights: Path, sample: Path, tmp_path: Path, monkeypatch, capsys, module_cache: None, build: Path
) -> None:
    """With --force: an app that picks up every .tflite of the folder must not ship the old one."""
    good = (build / "hierattn_xs-fp32.tflite").read_bytes()
    monkeypatch.setattr(_tflite_format, "float_model", lambda checkpoint: _tflite.Lowered(good, {}, "by hand"))
    arguments = ["--checkpoint", str(weights), "--data", str(sample), "--recipe", "fp32", "--out", str(tmp_path)]
    assert to_tflite.main(arguments) == 0 and (tmp_path / "hierattn_xs-fp32.tflite").exists()
    audit = _tflite_format.audit
    monkeypatch.setattr(_tflite_format, "audit", lambda path: audit(path) | {"warnings": ["gpu-rank: ABS has rank 7"]})
    assert to_tflite.main([*arguments, "--force", "--strict"]) == 1
    assert not (tmp_path / "hierattn_xs-fp32.tflite").exists() and not artifact.read(tmp_path)["files"]


def test_weights_that_are_no_numbers_are_named_before_anything_is_measured(
    weights: Path, sample: Path, tmp_path: Path, capsys, module_cache: None
) -> None:
    held = checkpoint.load(weights)
    state = dict(held.state)
    state["classifier.bias"] = state["classifier.bias"] * float("nan")
    checkpoint.save(replace(held, state=state), tmp_path / "broken")
    out = tmp_path / "out"
    arguments = ["--checkpoint", str(tmp_path / "broken.safetensors"), "--data", str(sample), "--out", str(out)]
    assert to_tflite.main([*arguments, "--recipe", "int8-weights"]) == 2
    said = capsys.readouterr().err
    assert "broken.safetensors" in said and "NaN" in said
    assert {path.name for path in out.iterdir()} <= {"convert.log"}


@pytest.mark.slow
def test_terminated_it_leaves_nothing_unfinished(weights: Path, sample: Path, tmp_path: Path) -> None:
    """What a CI job's time limit sends."""
    out = tmp_path / "out"
    command = [
        sys.executable,
        str(ROOT / "convert" / "to_tflite.py"),
        "--checkpoint",
        str(weights),
        "--data",
        str(sample),
    ]
    with subprocess.Popen(
        [*command, "--out", str(out)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as job:
        deadline = time.monotonic() + 60
        while not list(out.glob(".unfinished*")) and job.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list(out.glob(".unfinished*"))
        job.terminate()
        _, said = job.communicate(timeout=60)
    assert job.returncode == 143 and "terminated" in said and "Traceback" not in said
    assert not list(out.glob(".unfinished*"))


def test_a_broken_converter_leaves_nothing(
    weights: Path, sample: Path, tmp_path: Path, monkeypatch, capsys, module_cache: None
) -> None:
    def explode(checkpoint):
        raise RuntimeError("unsupported op aten.made_up")

    monkeypatch.setattr(_tflite_format, "float_model", explode)
    arguments = [
        "--checkpoint",
        str(weights),
        "--data",
        str(sample),
        "--recipe",
        "fp32",
        "--out",
        str(tmp_path / "out"),
    ]
    assert to_tflite.main(arguments) == 2
    message = capsys.readouterr().err
    assert "aten.made_up" in message and "convert.log" in message
    assert not [p for p in (tmp_path / "out").iterdir() if p.name != "convert.log"]


def test_what_was_measured_is_kept_and_gives_the_same_files(
    build: Path, weights: Path, sample: Path, tmp_path: Path, capsys, module_cache: None
) -> None:
    """What a clone without photographs does: convert with the rounding and the scheme that travel with the weights."""
    stems = [weights.with_suffix(kind) for kind in (".safetensors", ".json")]
    kept = [build / f"checkpoint{kind}" for kind in (".rounding.npz", ".scheme.json")]
    for path in (*stems, *kept):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    arguments = ["--checkpoint", str(tmp_path / weights.name), "--out", str(tmp_path / "out")]
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
    assert (numbers.engine.dtype, bytes_in.engine.dtype) == (np.float32, np.uint8)
    np.testing.assert_array_equal(numbers.run(images), bytes_in.run(images))
    by_recipe = {entry["recipe"]: entry for entry in artifact.read(build)["files"]}
    assert by_recipe["int8-io"]["input"]["dtype"] == "uint8" and by_recipe["int8"]["input"]["dtype"] == "float32"


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
        name = name_of(model, layer.output).removesuffix("_quantized")
        is_8bit = model.subgraphs[0].tensors[layer.weight].type == INT8
        checked += name in kinds
        assert is_8bit == (kinds.get(name, "static") != "float"), name
    assert checked > 0.9 * len(kinds)
    assert {layer.kind for layer in scheme.layers} >= {"static", "dynamic"}


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "missing"])
def test_a_damaged_file_is_named(build: Path, tmp_path: Path, damage: str, capsys) -> None:
    path = tmp_path / "model.tflite"
    content = (build / "hierattn_xs-fp32.tflite").read_bytes()
    if damage != "missing":
        path.write_bytes({"truncated": content[: len(content) // 3], "text": b"hello world", "empty": b""}[damage])
    photo = next(iter(open_photos(build.parent / "sample").photos)).path
    assert predict.main([str(photo), "--with", str(path)]) == 2
    assert "model.tflite" in capsys.readouterr().err


def test_a_changed_file_is_noticed(build: Path, weights: Path, sample: Path, tmp_path: Path, capsys) -> None:
    for part in build.iterdir():
        if part.is_file():
            (tmp_path / part.name).write_bytes(part.read_bytes())
    with (tmp_path / "hierattn_xs-int8.tflite").open("ab") as file:
        file.write(b"x")
    assert simulate.main([str(tmp_path), "--checkpoint", str(weights), "--data", str(sample)]) == 2
    assert "hierattn_xs-int8.tflite" in capsys.readouterr().err


def test_predict_gives_the_same_answer_by_file_and_by_checkpoint(
    build: Path, weights: Path, sample: Path, capsys
) -> None:
    photo = str(open_photos(sample).photos[0].path)
    answers = []
    for file in (weights, build / "hierattn_xs-fp32.tflite"):
        assert predict.main([photo, "--with", str(file), "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out)[0]["probabilities"])
    assert answers[0].keys() == answers[1].keys()
    assert max(abs(answers[0][code] - answers[1][code]) for code in answers[0]) < 2e-6


def test_predict_refuses_a_file_that_is_not_the_one_described(
    build: Path, sample: Path, tmp_path: Path, capsys
) -> None:
    photo, name = str(open_photos(sample).photos[0].path), "hierattn_xs-fp32.tflite"
    shutil.copytree(build, tmp_path / "build")
    content = bytearray((build / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "build" / name).write_bytes(content)
    assert predict.main([photo, "--with", str(tmp_path / "build" / name)]) == 2
    assert "is not the file that the manifest describes" in capsys.readouterr().err
    shutil.copy(build / name, tmp_path / name)
    assert predict.main([photo, "--with", str(tmp_path / name)]) == 2
    assert "leave the two together" in capsys.readouterr().err


def test_predict_gives_no_answer_that_is_not_finite(weights: Path, sample: Path, monkeypatch, capsys) -> None:
    photo = str(open_photos(sample).photos[0].path)
    monkeypatch.setattr(Reference, "run", lambda self, images: np.full((len(images), 6), np.nan))
    for more in ([], ["--json"]):
        assert predict.main([photo, "--with", str(weights), *more]) == 2
        seen = capsys.readouterr()
        assert "no finite answer" in seen.err and "NaN" not in seen.out


COREML_RECIPES = ("fp32", "fp16", "int8-weights", "int8", "palette8", "palette6", "palette4")


@pytest.fixture(scope="module")
def packages(build: Path, weights: Path, sample: Path, module_cache: None) -> Path:
    """The Core ML packages beside the TFLite files, converted once by the command."""
    arguments = ["--checkpoint", str(weights), "--data", str(sample), "--out", str(build)]
    assert to_coreml.main(arguments) == 0
    return build


@pytest.mark.slow
def test_core_ml_packages_say_what_the_contract_says(packages: Path) -> None:
    from edge.runtimes.coreml_package import describe, shortcomings

    codes = [label.code for label in PAD_UFES_20]
    manifest = artifact.read(packages)
    described = [entry for entry in manifest["files"] if entry["format"] == "mlpackage"]
    assert {entry["recipe"] for entry in described} == set(COREML_RECIPES)
    assert len(manifest["files"]) == len(RECIPES) + len(COREML_RECIPES)  # the .tflite files are still described
    for recipe in COREML_RECIPES:
        package = describe(packages / f"hierattn_xs-{recipe}.mlpackage")
        assert shortcomings(package, recipe=recipe, side=SIDE, labels=codes) == []
        assert package.ops["softmax"] >= 1
        # each kind of mistake is seen
        assert shortcomings(package, recipe=recipe, side=SIDE + 32, labels=codes)
        assert shortcomings(package, recipe=recipe, side=SIDE, labels=codes[::-1])
        assert shortcomings(package, recipe="fp32" if recipe != "fp32" else "fp16", side=SIDE, labels=codes)
    size = {recipe: artifact.size(packages / f"hierattn_xs-{recipe}.mlpackage") for recipe in COREML_RECIPES}
    assert size["int8-weights"] < 0.65 * size["fp16"] < 0.4 * size["fp32"]
    assert size["palette4"] < size["palette6"] < size["palette8"] < 0.65 * size["fp16"]
    assert size["int8-weights"] / manifest["parameters"] <= 1.25 and size["palette4"] / manifest["parameters"] <= 0.72


@pytest.mark.slow
def test_core_ml_packages_are_run_and_judged(packages: Path, weights: Path) -> None:
    from edge.runtimes.coreml.classifier import CoreML

    by_recipe = {e["recipe"]: e for e in artifact.read(packages)["files"] if e["format"] == "mlpackage"}
    assert by_recipe["fp32"]["parity"]["verdict"] == by_recipe["fp16"]["parity"]["verdict"] == "pass"
    assert by_recipe["palette4"]["parity"]["sqnr_db_median"] < by_recipe["palette8"]["parity"]["sqnr_db_median"]
    images = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    expected = Reference(checkpoint.load(weights)).run(images)
    found = CoreML(packages / "hierattn_xs-fp32.mlpackage").run(images)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    half = CoreML(packages / "hierattn_xs-fp16.mlpackage").run(images)
    assert 1e-6 < np.abs(half - expected).max() < 0.02  # it computes in fp16


def test_files_for_core_ai_are_left_out_where_it_is_not_installed(
    build: Path, weights: Path, sample: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    """One line says which files and what to install; the others are judged as ever."""
    folder, name = tmp_path / "build", "hierattn_xs-fp32.aimodel"
    shutil.copytree(build, folder)
    (folder / name).mkdir()
    (folder / name / "main.mlirb").write_bytes(b"anything")
    manifest = artifact.read(folder)
    kept = [entry for entry in manifest["files"] if entry["file"] == "hierattn_xs-fp32.tflite"]
    other = {"file": name, "format": "aimodel", "sha256": sha256(folder / name), "bytes": 8}
    artifact.write(folder, {**manifest, "files": [{**kept[0], **other}, *kept]})
    monkeypatch.setitem(sys.modules, "coreai", None)  # importing it fails
    monkeypatch.setitem(sys.modules, "coreai.authoring", None)
    arguments = [str(folder), "--checkpoint", str(weights), "--data", str(sample), "--images", "2"]
    for command in (simulate, parity):
        assert command.main(arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line for line in lines if "left out" in line or ".aimodel" in line] == [
            f"left out {name}: running .aimodel files needs Core AI: pip install -e '.[coreai]' in dermedge's folder"
        ]
        assert any("hierattn_xs-fp32.tflite" in line for line in lines)


def test_unknown_model_lists_the_known(capsys) -> None:
    assert to_tflite.main(["--model", "resnet_9000"]) == 2
    assert "hierattn_xs" in capsys.readouterr().err


def test_a_model_that_is_not_shipped_says_so(capsys) -> None:
    assert to_tflite.main(["--model", "hierattn_m"]) == 2
    assert "train" in capsys.readouterr().err
