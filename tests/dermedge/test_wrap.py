"""Networks that dermedge did not write, through `dermedge.wrap`: what is understood, refused and kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import dermedge
from edge.runtimes.reference import Reference

ROOT = Path(__file__).resolve().parents[2]
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
LABELS = ["naevus", "melanoma", "seborrhoeic keratosis"]


class Small(nn.Module):
    """A convolutional network that answers in whatever way `returns` says."""

    def __init__(self, returns: str = "logits", classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1))
        self.head = nn.Linear(12, classes)
        self.outline = nn.Conv2d(3, 1, 1)
        self.returns = returns

    def forward(self, x):
        logits = 3 * self.head(torch.relu(self.features(x)).mean((2, 3)))
        return {
            "logits": lambda: logits,
            "tuple": lambda: (logits, logits.mean()),
            "mask": lambda: (logits, self.outline(x)),
            "object": lambda: SimpleNamespace(logits=logits),
            "dict": lambda: {"logits": logits},
            "probabilities": lambda: torch.softmax(logits, dim=-1),
            "sigmoid": lambda: torch.sigmoid(logits),
            "nan": lambda: logits * float("nan"),
            "features": lambda: self.features(x),
        }[self.returns]()


def wrapped(module: nn.Module | None = None, **changes):
    options = {"side": 64, "untrained": True, **IMAGENET, **changes}
    return dermedge.wrap(module or Small(), options.pop("labels", LABELS), **options)


def pictures(count: int = 3, side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def expected(module: nn.Module, images: np.ndarray) -> np.ndarray:
    """Probabilities by hand, in float64: (x / 255 - mean) / std, the network, softmax."""
    mean, std = (np.array(IMAGENET[key]) for key in ("mean", "std"))
    x = torch.from_numpy(((images / 255 - mean) / std).transpose(0, 3, 1, 2))
    with torch.no_grad():
        return torch.softmax(Small().double().eval()(x), dim=-1).numpy()


@pytest.mark.parametrize("returns", ["logits", "tuple", "object", "dict", "probabilities", "mask"])
def test_every_form_of_answer_gives_the_same_probabilities(returns):
    checkpoint = wrapped(Small(returns))
    outputs = Reference(checkpoint).run(pictures())
    np.testing.assert_allclose(outputs.probabilities, expected(Small(), pictures()), atol=1e-6)
    assert checkpoint.gives == ("probabilities" if returns == "probabilities" else "logits")
    assert (outputs.masks is not None) == (returns == "mask")


def test_the_users_module_is_left_as_it_was():
    module = Small().train()
    wrapped(module)
    assert module.training and all(parameter.requires_grad for parameter in module.parameters())


def test_malignancy_that_was_left_out_is_unknown():
    assert [label.malignant for label in wrapped().labels] == [None, None, None]
    assert [label.malignant for label in wrapped(malignant=[False, True, None]).labels] == [False, True, None]
    assert wrapped().labels[2].code == "seborrhoeic_keratosis" and wrapped().labels[2].name == LABELS[2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean": (124, 116, 104), "std": (58, 57, 57)}, "scale=255"),
        ({"mean": (0.5, 0.5, 0.5), "std": (58, 57, 57)}, "cannot be"),
        ({"scale": 255}, "leave `scale` out"),
        ({"mean": (124, 116, 104), "std": (0.2, 0.2, 0.2), "scale": 255}, "cannot be"),
        ({"mean": (0.5, 0.5)}, "three numbers"),
        ({"std": (0.0, 0.2, 0.2)}, "cannot be"),
        ({"scale": 2}, "`scale` is 1"),
        ({"labels": ["a", "b"]}, "3 scores"),
        ({"labels": ["a", "a", "b"]}, "must differ"),
        ({"malignant": [True]}, "1 entries for 3"),
        ({"malignant": ["yes", "no", "no"]}, "True, False or None"),
        ({"side": 8}, "16 to 1024"),
        ({"name": "mobilenetv2"}, "a model of dermedge"),
        ({"name": "My Net"}, "a-z"),
        ({"temperature": 0}, "temperature"),
        ({"module": Small("nan")}, "NaN"),
        ({"module": Small("features")}, "class scores"),
        ({"module": Small("probabilities"), "temperature": 2.0}, "no `temperature`"),
        ({"module": nn.Linear(3, 3)}, "does not take float32 (1, 3, 64, 64)"),
        ({"module": "net"}, "torch.nn.Module"),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value)[:24],
)
def test_what_cannot_be_is_refused_by_name(changes, words):
    with pytest.raises(dermedge.InputError) as raised:
        wrapped(**{key: value for key, value in changes.items()})
    assert words in str(raised.value)


def test_numbers_of_0_to_255_are_those_of_0_to_1():
    whole = wrapped(scale=255, **{key: tuple(255 * v for v in values) for key, values in IMAGENET.items()})
    np.testing.assert_allclose(
        Reference(whole).run(pictures()).probabilities, Reference(wrapped()).run(pictures()).probabilities, atol=1e-6
    )
    raw = wrapped(mean=(0, 0, 0), std=(1, 1, 1), scale=255)  # the network takes the picture's own numbers
    assert raw.preprocess.std[0] == pytest.approx(1 / 255)


def test_a_sigmoid_is_said(caplog_dermedge):
    wrapped(Small("sigmoid"))
    assert any("sigmoid" in line for line in caplog_dermedge)


@pytest.fixture
def caplog_dermedge():
    import logging

    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("dermedge").addHandler(handler)
    yield lines
    logging.getLogger("dermedge").removeHandler(handler)


class Follows(nn.Module):
    """Depends on the picture's values in a way that no export can follow."""

    def forward(self, x):
        return torch.cat([x.mean((2, 3))[:, :2], x.sum((1, 2, 3))[:, None]], 1) * (2 if bool(x.mean() > 0) else 1)


def test_what_export_cannot_follow_is_refused():
    with pytest.raises(dermedge.InputError, match=r"torch\.export cannot follow"):
        wrapped(Follows())


def test_the_same_network_has_the_same_digest():
    assert wrapped().sha256 == wrapped().sha256
    torch.manual_seed(2)
    other = Small()
    nn.init.normal_(other.head.weight)
    assert wrapped(other).sha256 != wrapped().sha256


def test_saved_and_loaded_it_gives_the_same(tmp_path):
    checkpoint = wrapped(malignant=[False, True, None])
    path = dermedge.save(checkpoint, tmp_path / "mine")
    back = dermedge.load(path)
    assert path.suffix == ".pt2" and back.live is None and back.sha256 == checkpoint.sha256
    assert (back.labels, back.preprocess, back.model) == (checkpoint.labels, checkpoint.preprocess, checkpoint.model)
    np.testing.assert_allclose(
        Reference(back).run(pictures()).probabilities, Reference(checkpoint).run(pictures()).probabilities, atol=1e-6
    )


@pytest.fixture(scope="module")
def build(tmp_path_factory, request):
    home = tmp_path_factory.mktemp("wrapped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(home / "cache"))
        patch.delenv("DERMEDGE_PHOTOS", raising=False)
        return dermedge.convert(wrapped(name="mine"), recipes=["fp32", "fp16", "int8"], out=home / "mine")


def test_a_build_keeps_what_it_is_judged_by(build):
    manifest = json.loads((build.folder / "manifest.json").read_text())
    assert manifest["reference"]["file"] == "reference.pt2" and manifest["family"] == "foreign"
    assert {entry["recipe"] for entry in manifest["files"]} == {"fp32", "fp16", "int8"}
    assert not build.rejected
    assert b"def forward" not in (build.folder / "reference.pt2").read_bytes()  # the author's source stays at home


@pytest.mark.slow(reason="a process that loads all")
def test_it_is_judged_again_by_another_process_without_its_source(build, tmp_path):
    """Nothing of this test's module can be imported there."""
    command = [
        sys.executable,
        "-m",
        "dermedge.cli",
        "parity",
        str(build.folder),
        "--images",
        "8",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads((tmp_path / "parity.json").read_text())
    assert {file["verdict"] for file in report["files"]} <= {"pass", "inconclusive"}


def test_another_network_in_the_folder_is_noticed(build, tmp_path):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(build.folder, folder)
    content = bytearray((folder / "reference.pt2").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "reference.pt2").write_bytes(content)
    with pytest.raises(dermedge.InputError, match="not the float network"):
        dermedge.open_build(folder)


def test_the_file_answers_as_the_network_does(build):
    image = pictures(1)[0]
    with dermedge.open_model(build.folder / "mine-fp32.tflite") as model:
        outcome = model.predict(image)
    want = Reference(wrapped()).run(image[None]).probabilities[0]
    np.testing.assert_allclose(list(outcome.probabilities.values()), want, atol=1e-5)
    assert outcome.outcome == "class" and "no thresholds" in outcome.reason


class Left(Small):
    """Writes into its input."""

    def forward(self, x):
        x[:, 0] *= 2
        return super().forward(x)


def test_results_of_a_former_run_are_no_hindrance():
    torch.manual_seed(0)
    net = Left()
    net.last = net(torch.rand(1, 3, 32, 32))  # as pruning, weight_norm and a kept attention map do
    assert net.last.grad_fn is not None
    assert wrapped(net).gives == "logits"
    assert net.last.grad_fn is not None  # the author's network is left alone


class Odd(nn.Module):
    """A classifier with one fault."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.net, self.fault = Small(), fault
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x):
        scores = self.net(x)
        if self.fault == "random":
            return scores + torch.rand(1)
        if self.fault == "state":
            self.count += 1
            return scores + self.count
        if self.fault == "constant":
            return torch.zeros(len(x), 3)
        if self.fault == "classes":
            return scores.argmax(-1, keepdim=True).expand(-1, 3)
        raise SystemExit(0)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("random", "other scores the second time"),
        ("state", "other scores the second time"),
        ("constant", "the same scores"),
        ("classes", "floating point"),
        ("exit", "SystemExit"),
    ],
)
def test_what_is_no_steady_classifier_is_refused(fault, words):
    with pytest.raises(dermedge.InputError) as raised:
        wrapped(Odd(fault))
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"side": "32"}, "whole number"),
        ({"side": None}, "whole number"),
        ({"temperature": "1"}, "temperature"),
        ({"mean": None}, "three numbers"),
        ({"std": (1e-9,) * 3}, "too small"),
        ({"labels": {"a", "b", "c"}}, "a list"),
        ({"labels": [None, 1, 2]}, "texts"),
        ({"malignant": True}, "a list"),
        ({"module": nn.Sequential(nn.Flatten(), nn.LazyLinear(3))}, "no weights yet"),
        ({"module": nn.Sequential(nn.Flatten(), nn.Linear(3, 3, device="meta"))}, "no weights yet"),
    ],
)
def test_arguments_of_another_kind_are_refused(changes, words):
    with pytest.raises(dermedge.InputError) as raised:
        wrapped(**changes)
    assert words in str(raised.value)


def test_arrays_and_tensors_are_numbers_too():
    checkpoint = wrapped(
        mean=np.float32([0.5, 0.5, 0.5]), std=torch.tensor([0.25, 0.25, 0.25]), side=np.int64(64),
        malignant=np.array([True, False, False]),
    )  # fmt: skip
    assert checkpoint.preprocess.std == (0.25, 0.25, 0.25) and type(checkpoint.preprocess.side) is int
    assert [label.malignant for label in checkpoint.labels] == [True, False, False]


def test_small_logits_are_not_taken_for_a_sigmoid(caplog_dermedge):
    quiet = Small()
    with torch.no_grad():
        quiet.head.weight.mul_(1e-3)
        quiet.head.bias.fill_(0.2)
    wrapped(quiet)
    assert not any("sigmoid" in line for line in caplog_dermedge)


def test_labels_in_another_order_are_not_the_float_networks(build, tmp_path):
    """Reversed in the description of the reference: every answer would be right but for the name of its class."""
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(build.folder, folder)
    facts = json.loads((folder / "reference.json").read_text())
    facts["classes"].reverse()
    (folder / "reference.json").write_text(json.dumps(facts))
    with pytest.raises(dermedge.InputError, match="has the classes"):
        dermedge.open_build(folder)


@pytest.mark.parametrize("options", [{"recipes": []}, {"formats": 5}, {"formats": []}, {"recipes": 5}, {"photos": 5}])
def test_convert_refuses_other_kinds(options, tmp_path):
    with pytest.raises(dermedge.InputError):
        dermedge.convert(wrapped(), out=tmp_path, **options)


def test_convert_names_what_is_no_checkpoint(tmp_path):
    with pytest.raises(dermedge.InputError, match="wrap"):
        dermedge.convert(Small(), out=tmp_path)  # type: ignore[arg-type]


def test_a_manifest_in_another_order_of_classes_is_not_the_files(build, tmp_path):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(build.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["labels"].reverse()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(dermedge.InputError, match="has 3 outputs and the classes naevus, melanoma"):
        dermedge.open_model(folder / "mine-fp32.tflite")
