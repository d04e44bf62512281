"""Checkpoints: what is written comes back bit for bit, and whatever else comes is refused by name."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dermedge.commands.import_upstream import main as import_upstream
from edge import checkpoint as checkpoints
from edge import weight_files
from edge.checkpoint import Checkpoint, Preprocess, load, save, shipped
from edge.errors import InputError
from edge.labels import PAD_UFES_20, Label
from edge.models import create_model, from_upstream, hierattn, published_side

IDS = {"pad_ufes_20": {"patients": ["PAT_1", "PAT_2"], "images": ["PAT_1_1_1.png", "PAT_2_1_1.png"]}}


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return create_model("hierattn_xs").state_dict()


@pytest.fixture
def ours(state) -> Checkpoint:
    return Checkpoint(
        model="hierattn_xs",
        labels=PAD_UFES_20,
        preprocess=Preprocess("area-2", 224, (0.5, 0.25, 0.1), (0.3, 0.2, 0.1)),
        state=state,
        temperature=1.7,
        data=[{"name": "PAD-UFES-20", "sha256": "ab"}],
        trained=IDS,
        held_back={"isic": {"patients": ["isic:1"], "images": ["ISIC_1"]}},
        unseen={"pad_ufes_20": {"patients": ["Müller"], "images": []}},
        metrics={"unseen": {"accuracy": 0.1}},
        recipe={"stages": [[32, 1]]},
        versions={"torch": "2"},
    )


@pytest.fixture
def written(ours, tmp_path) -> Path:
    save(ours, tmp_path / "run" / "xs")
    return tmp_path / "run" / "xs.safetensors"


def edit(saved: Path, **changes: object) -> Path:
    """Change fields of the JSON; a double underscore goes one level down. Returns its path."""
    path = saved.with_suffix(".json")
    facts = json.loads(path.read_text())
    for name, value in changes.items():
        *parents, last = name.split("__")
        place = facts
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    path.write_text(json.dumps(facts))
    return path


def test_a_checkpoint_of_another_preprocessing_is_refused(written):
    path = edit(written, preprocess__version="opencv-area-1")
    with pytest.raises(InputError, match="preprocessing 'opencv-area-1', this dermedge makes 'area-2'"):
        load(path)


@pytest.mark.parametrize("given", ["xs.safetensors", "xs.json", "xs"])
def test_round_trip(ours, written, given):
    back = load(written.with_name(given))
    assert back.state.keys() == ours.state.keys()
    for key, value in ours.state.items():
        assert back.state[key].dtype == value.dtype
        assert torch.equal(back.state[key], value)
    assert replace(back, state={}, sha256="") == replace(ours, state={})
    assert len(back.sha256) == 64


def test_folder_of_a_run(ours, tmp_path):
    save(ours, tmp_path / "checkpoint")
    assert load(tmp_path).temperature == 1.7


def test_folder_with_a_dot_in_its_name(ours, tmp_path):
    save(ours, tmp_path / "v1.2" / "checkpoint")
    assert load(tmp_path / "v1.2").model == "hierattn_xs"


def test_only_safetensors_and_json(written):
    """The format's own layout: eight bytes of length, a JSON header, raw numbers. A pickle begins otherwise."""
    assert sorted(path.name for path in written.parent.iterdir()) == ["xs.json", "xs.safetensors"]
    content = written.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    tensors = [entry for key, entry in header.items() if key != "__metadata__"]
    assert {entry["dtype"] for entry in tensors} == {"F32", "I64"}
    assert max(entry["data_offsets"][1] for entry in tensors) == len(content) - 8 - length


def test_network_computes_in_evaluation_mode(written):
    net = load(written).network()
    assert not net.training
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(net(x), net(x))  # no dropout, no shuffle


def test_views_and_other_memory_layouts_are_saved(ours, tmp_path):
    """Training keeps kernels channels-last, which safetensors does not take as they are."""
    last = {
        k: v.contiguous(memory_format=torch.channels_last) if v.ndim == 4 else v.requires_grad_(v.is_floating_point())
        for k, v in create_model("hierattn_xs").state_dict().items()
    }
    save(replace(ours, state=last), tmp_path / "x")
    back = load(tmp_path / "x").state
    assert all(torch.equal(back[key], value) for key, value in last.items())


# What is refused


def refused(path: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        load(path)
    for word in words:
        assert word in str(caught.value)


def test_missing(tmp_path):
    refused(tmp_path / "no.safetensors", str(tmp_path / "no.safetensors"), "`checkpoint`")


def test_missing_description(written):
    written.with_suffix(".json").unlink()
    refused(written, "xs.json", "does not exist")


@pytest.mark.parametrize("left", [0, 4, 100, 5000, -1])
def test_truncated_weights(written, left):
    written.write_bytes(written.read_bytes()[:left])
    refused(written, "xs.safetensors", "again")


def test_swapped_weights(ours, written, tmp_path):
    """Weights that are good in themselves, beside the description of others: the labels could be wrong."""
    other = {key: value + 1 if value.is_floating_point() else value for key, value in ours.state.items()}
    save(replace(ours, state=other), tmp_path / "other")
    written.write_bytes((tmp_path / "other.safetensors").read_bytes())
    refused(written, "xs.safetensors", "xs.json", "SHA-256", "copy both files")


def test_huge_header_length(written):
    written.write_bytes(b"\xff" * 8 + written.read_bytes()[8:])
    refused(written, "xs.safetensors")


@pytest.mark.parametrize("schema", ["dermedge/checkpoint/3", None, 1, ["dermedge/checkpoint/1"]])
def test_other_schema(written, schema):
    edit(written, schema=schema)
    refused(written, "xs.json", "expected schema dermedge/checkpoint/1")


def test_wrong_class_count(written):
    classes = json.loads(written.with_suffix(".json").read_text())["classes"]
    edit(written, classes=classes[:5])
    refused(written, "do not fit hierattn_xs", "classifier.weight", "(6, 768)", "(5, 768)")


def test_weights_of_another_model(written):
    edit(written, model="hierattn_s")
    refused(written, "do not fit hierattn_s", "`model`")


MALFORMED = {
    "model unknown": {"model": "resnet"},
    "model missing": {"model": ...},
    "temperature a word": {"temperature": "warm"},
    "temperature zero": {"temperature": 0},
    "temperature negative": {"temperature": -1.0},
    "temperature NaN": {"temperature": float("nan")},
    "temperature null": {"temperature": None},
    "preprocess missing": {"preprocess": ...},
    "preprocess a list": {"preprocess": []},
    "side not a multiple of 32": {"preprocess__side": 100},
    "side 0": {"preprocess__side": 0},
    "side huge": {"preprocess__side": 1 << 40},
    "side infinite": {"preprocess__side": float("inf")},
    "side a word": {"preprocess__side": "large"},
    "mean of two": {"preprocess__mean": [0, 0]},
    "mean a number": {"preprocess__mean": 0.5},
    "mean NaN": {"preprocess__mean": [0, float("nan"), 0]},
    "mean infinite": {"preprocess__mean": [0, float("inf"), 0]},
    "std zero": {"preprocess__std": [1, 0, 1]},
    "std missing": {"preprocess__std": ...},
    "classes missing": {"classes": ...},
    "classes of words": {"classes": ["ACK", "BCC"]},
    "classes doubled": {"classes": [{"code": "A", "malignant": True}] * 6},
    "class code a path": {"classes": [{"code": f"../{i}", "malignant": True} for i in range(6)]},
    "malignant a word": {"classes": [{"code": f"c{i}", "malignant": "no"} for i in range(6)]},
    "one class": {"classes": [{"code": "A", "malignant": True}]},
    "weights missing": {"weights": ...},
    "weights a list": {"weights": []},
    "weights a word": {"weights": "xs.safetensors"},
    "digest missing": {"weights__sha256": ...},
}
UNCHECKED = {
    "trained a list": {"trained": []},
    "trained of words": {"trained": {"pad_ufes_20": "PAT_1"}},
    "held back of a word": {"held_back": {"pad_ufes_20": {"patients": "PAT_1"}}},
    "metrics a word": {"metrics": "good"},
    "data a word": {"data": "PAD"},
}


@pytest.mark.parametrize("changes", MALFORMED.values(), ids=MALFORMED)
def test_malformed_description(written, changes):
    path = edit(written, **changes)
    with pytest.raises(InputError) as caught:
        load(written)
    assert path.name in str(caught.value) or written.name in str(caught.value)


@pytest.mark.parametrize("changes", UNCHECKED.values(), ids=UNCHECKED)
def test_malformed_lists_of_ids(written, changes):
    edit(written, **changes)
    refused(written, "xs.json")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_description_is_no_json_object(written, content):
    written.with_suffix(".json").write_bytes(content)
    refused(written, "xs.json")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".bin", ".tar"])
def test_foreign_checkpoint_names_the_way_out(tmp_path, suffix):
    path = tmp_path / f"theirs{suffix}"
    path.write_bytes(pickle.dumps({}))
    refused(path, str(path), "dermedge import-upstream")


def test_weights_larger_than_allowed(written, monkeypatch):
    monkeypatch.setattr(weight_files, "MAX_WEIGHT_BYTES", 1000)
    refused(written, "xs.safetensors", "larger than 1000 bytes")


def test_shipped_names_what_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path)
    with pytest.raises(InputError, match=r"there is: none.*train/train\.py --model hierattn_m"):
        shipped("hierattn_m")
    (tmp_path / "hierattn_xs.safetensors").touch()
    assert shipped("hierattn_xs") == tmp_path / "hierattn_xs.safetensors"
    with pytest.raises(InputError, match="there is: hierattn_xs"):
        shipped("hierattn_m")


# The authors' files


def upstream_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our tensors under the authors' names, by way of the golden list: the same rule must bring them back."""
    golden = json.loads((Path(__file__).resolve().parents[1] / "golden" / "hierattn_xs_256.json").read_text())
    theirs = {name: torch.tensor(0.0) for name in golden["tensors"]}
    by_ours = {ours: name for name in theirs for ours in hierattn.from_upstream({name: theirs[name]})}
    return {by_ours[key]: value.clone() for key, value in state.items()}


@pytest.fixture
def theirs(state) -> dict[str, torch.Tensor]:
    return upstream_names(state)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {"state_dict": s},
        lambda s: {"epoch": 3, "model": {f"module.{k}": v for k, v in s.items()}, "optimizer": {"lr": 0.1}},
    ],
    ids=["plain", "module.", "state_dict", "model inside, module."],
)
def test_import_upstream(theirs, state, tmp_path, wrap):
    torch.save(wrap(theirs), tmp_path / "theirs.pth")
    assert import_upstream(["--model", "hierattn_xs", str(tmp_path / "theirs.pth"), "--side", "224"]) == 0
    back = load(tmp_path / "theirs.safetensors")
    assert all(torch.equal(back.state[key], value) for key, value in state.items())
    assert back.labels == PAD_UFES_20
    assert back.preprocess.side == 224
    assert (back.preprocess.mean, back.preprocess.std) == ((0, 0, 0), (1, 1, 1))  # the authors only divide by 255
    assert not back.trained  # nothing is known of it


def test_import_old_format_and_safetensors(theirs, tmp_path):
    torch.save(theirs, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert import_upstream(["--model", "hierattn_xs", str(tmp_path / "old.pth")]) == 0
    save_file(theirs, tmp_path / "st.safetensors")
    out = tmp_path / "ours.safetensors"
    assert import_upstream(["--model", "hierattn_xs", str(tmp_path / "st.safetensors"), "--out", str(out)]) == 0
    a, b = load_file(tmp_path / "old.safetensors"), load_file(out)
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_import_with_labels(theirs, tmp_path):
    theirs["Classifier.fc.weight"], theirs["Classifier.fc.bias"] = torch.ones(2, 768), torch.zeros(2)
    torch.save(theirs, tmp_path / "two.pth")
    classes = [{"code": "ben", "name": "benign", "malignant": False}, {"code": "mal", "malignant": True}]
    (tmp_path / "labels.json").write_text(json.dumps({"classes": classes}))
    arguments = ["--model", "hierattn_xs", str(tmp_path / "two.pth")]
    assert import_upstream([*arguments, "--labels", str(tmp_path / "labels.json")]) == 0
    assert load(tmp_path / "two").labels == (Label("ben", "benign", False), Label("mal", "mal", True))
    assert import_upstream([*arguments, "--force"]) == 0  # without names: numbered, and it says so
    assert [label.code for label in load(tmp_path / "two").labels] == ["class_0", "class_1"]


def fails(arguments: list, tmp_path: Path, capsys: pytest.CaptureFixture, *words: str) -> None:
    """Exit code 2, the words on standard error, and no file that was not there."""
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert import_upstream([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "Traceback" not in said
    for word in words:
        assert word in said
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


class Malice:
    """A pickle that makes a folder when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.target),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")  # torch, about the bare pickle; it still refuses it
@pytest.mark.parametrize("form", ["zip", "old", "bare pickle", "hidden in a state dict"])
def test_malicious_pickle_is_not_run(theirs, tmp_path, capsys, form):
    trap, path = tmp_path / "trap", tmp_path / "theirs.pth"
    evil = Malice(trap)
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(evil))
    elif form == "old":
        torch.save(evil, path, _use_new_zipfile_serialization=False)
    else:
        torch.save({"state_dict": {**theirs, "evil": evil}} if form.startswith("hidden") else evil, path)
    # read without the guard it does go off: the test would notice
    pickle.loads(path.read_bytes()) if form == "bare pickle" else torch.load(path, weights_only=False)
    trap.rmdir()
    fails(["--model", "hierattn_xs", path], tmp_path, capsys, "theirs.pth", "torch.save(model.state_dict()")
    assert not trap.exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_upstream(theirs, tmp_path, capsys, share):
    path = tmp_path / "theirs.pth"
    torch.save(theirs, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    fails(["--model", "hierattn_xs", path], tmp_path, capsys, "theirs.pth")


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {},
        {"state_dict": {}},
        {"a": 1},
        {"epoch": 3, "weights": torch.ones(2)},
        torch.ones(3),
        {1: torch.ones(2)},
    ],
    ids=["list", "empty", "empty inside", "a number", "a mixture", "one tensor", "numbers as names"],
)
def test_upstream_is_no_state_dict(tmp_path, capsys, content):
    torch.save(content, tmp_path / "theirs.pth")
    fails(["--model", "hierattn_xs", tmp_path / "theirs.pth"], tmp_path, capsys)


def test_upstream_text_file(tmp_path, capsys):
    (tmp_path / "theirs.pth").write_text("<html>404 not found</html>")
    fails(["--model", "hierattn_xs", tmp_path / "theirs.pth"], tmp_path, capsys, "theirs.pth")


def test_upstream_missing_file(tmp_path, capsys):
    fails(["--model", "hierattn_xs", tmp_path / "no.pth"], tmp_path, capsys, "no weights at", "no.pth")


def test_upstream_wrong_model(theirs, tmp_path, capsys):
    torch.save(theirs, tmp_path / "theirs.pth")
    fails(["--model", "hierattn_m", tmp_path / "theirs.pth"], tmp_path, capsys, "do not fit hierattn_m")
    fails(["--model", "vit", tmp_path / "theirs.pth"], tmp_path, capsys, "unknown model 'vit'", "hierattn_xs")


def test_upstream_labels_of_another_count(theirs, tmp_path, capsys):
    torch.save(theirs, tmp_path / "theirs.pth")
    classes = [{"code": code, "malignant": False} for code in "abc"]
    (tmp_path / "labels.json").write_text(json.dumps({"classes": classes}))
    arguments = ["--model", "hierattn_xs", tmp_path / "theirs.pth", "--labels", tmp_path / "labels.json"]
    fails(arguments, tmp_path, capsys, "labels.json names 3 classes", "have 6")


@pytest.mark.parametrize(
    "flags", [["--side", "100"], ["--side", "0"], ["--temperature", "0"], ["--temperature", "nan"]], ids=" ".join
)
def test_upstream_bad_numbers(theirs, tmp_path, capsys, flags):
    """Otherwise a checkpoint is written that `load` refuses."""
    torch.save(theirs, tmp_path / "theirs.pth")
    fails(["--model", "hierattn_xs", tmp_path / "theirs.pth", *flags], tmp_path, capsys, flags[0])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300], ids=str)
def test_upstream_weights_that_are_no_float32_numbers(theirs, tmp_path, capsys, value):
    """A diverged training, or float64 that float32 cannot hold: every answer would be NaN."""
    name = next(name for name, tensor in theirs.items() if tensor.is_floating_point())
    torch.save(theirs | {name: theirs[name].double().clone().fill_(value)}, tmp_path / "theirs.pth")
    fails(["--model", "hierattn_xs", tmp_path / "theirs.pth"], tmp_path, capsys, "weights in 1 tensors that are NaN")


@pytest.mark.parametrize(
    ("ending", "change", "words"),
    [
        ("weight", lambda value: value.to(torch.int64), "int64, expected numbers with a point"),
        ("weight", lambda value: value.to(torch.complex64), "complex64"),
        ("running_var", lambda value: -value.abs() - 1, "negative variance"),
    ],
    ids=["whole numbers", "complex", "variance"],
)
def test_upstream_weights_that_no_network_has(theirs, tmp_path, capsys, ending, change, words):
    name = next(name for name in theirs if name.endswith(ending))
    torch.save(theirs | {name: change(theirs[name])}, tmp_path / "theirs.pth")
    fails(["--model", "hierattn_xs", tmp_path / "theirs.pth"], tmp_path, capsys, words)


@pytest.mark.parametrize("precision", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_upstream_weights_of_another_precision_become_float32(theirs, tmp_path, precision):
    """Otherwise the checkpoint's size and answers depend on how the authors happened to save."""
    other = {name: value.to(precision) if value.is_floating_point() else value for name, value in theirs.items()}
    torch.save(other, tmp_path / "theirs.pth")
    assert import_upstream(["--model", "hierattn_xs", str(tmp_path / "theirs.pth")]) == 0
    state = load(tmp_path / "theirs.safetensors").state
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}


def test_upstream_side_is_the_published_one_unless_given(theirs, tmp_path):
    torch.save(theirs, tmp_path / "theirs.pth")
    arguments = ["--model", "hierattn_xs", str(tmp_path / "theirs.pth"), "--force"]
    assert import_upstream(arguments) == 0 and load(tmp_path / "theirs.safetensors").preprocess.side == 256
    assert import_upstream([*arguments, "--side", "96"]) == 0
    assert load(tmp_path / "theirs.safetensors").preprocess.side == 96
    assert published_side("hifuse_tiny") == 224  # whose windows fit no other


@pytest.mark.parametrize("out", ["mine.safetensors", "mine", "v1.0/mine"])
def test_existing_output_is_kept_without_force(theirs, tmp_path, capsys, out):
    torch.save(theirs, tmp_path / "theirs.pth")
    arguments = ["--model", "hierattn_xs", tmp_path / "theirs.pth", "--out", tmp_path / out]
    assert import_upstream([str(a) for a in arguments]) == 0
    capsys.readouterr()
    fails(arguments, tmp_path, capsys, "exists", "--force")
    assert import_upstream([*(str(a) for a in arguments), "--force"]) == 0


def test_a_description_beside_theirs_is_kept(theirs, tmp_path, capsys):
    """Their own theirs.json, say: ours would go to the same name."""
    torch.save(theirs, tmp_path / "theirs.pth")
    (tmp_path / "theirs.json").write_text("their configuration")
    fails(["--model", "hierattn_xs", tmp_path / "theirs.pth"], tmp_path, capsys, "theirs.json exists", "--force")


def test_rename_rule_is_what_the_test_assumes(theirs, state):
    assert from_upstream("hierattn_xs", theirs).keys() == state.keys()
    assert "Layer3.1.GlobalRep.0.Layers.0.0.1.toQKV.weight" in theirs
