"""What the public functions refuse: arguments of another kind, by name and before any work is done."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import dermedge
from edge import checks
from edge.build import Build

NUMBERS = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


class Net(nn.Module):
    """A linear head on what a group norm gives."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.GroupNorm(2, 8), nn.ReLU())
        self.head = nn.Linear(8, 2)
        with torch.no_grad():
            self.head.weight.mul_(gain)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


def wrapped(module: object = None, labels: object = ("a", "b"), **changes):
    return dermedge.wrap(
        Net() if module is None else module, labels, **{"side": 32, "untrained": True, **NUMBERS, **changes}
    )


@pytest.fixture(scope="module")
def checkpoint():
    return wrapped(name="net")


@pytest.fixture(scope="module")
def build(checkpoint, tmp_path_factory):
    home = tmp_path_factory.mktemp("arguments")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", str(home / "cache"))
        patch.delenv("DERMEDGE_PHOTOS", raising=False)
        return dermedge.convert(checkpoint, recipes=["fp32"], out=home / "net")


def traced() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would have us use torch.export
        return torch.jit.trace(nn.ReLU(), torch.zeros(1))


# annotation -> values that are none of it
STRANGE = {
    "bool": ["no", 1, None],
    "int": ["8", 2.5, True, None],
    "int | None": ["8", 2.5, True],
    "float": ["0.1", float("nan"), True],
    "Listener | None": [3, "print", lambda: None],
    "str | Path": [4, None, b"x", ""],
    "str | Path | None": [4, ""],
    "str | Path | Sequence[str | Path]": [4, None, [], [4]],
    "str | Path | Sequence[str | Path] | None": [4, [4], ""],
    "Photographs": [4, [1], []],
    "Set": [4, None],
    "Build | str | Path": [4, None],
    "Build | Checkpoint | str | Path": [4, None],
    "Checkpoint | str | Path": [4, None],
    "Checkpoint": [4, "net"],
    "Sequence[str | Path | Checkpoint]": [4, [4], [None]],
    "Sequence[str]": [4, [], [1]],
    "Sequence[str] | None": [4, [], [1]],
    "Sequence[int] | None": ["12", [1.5]],
    "str | None": [4],
    "nn.Module": [4, traced()],
}
FUNCTIONS = [name for name in dermedge.__all__ if inspect.isroutine(getattr(dermedge, name))]
CASES = [
    (name, parameter.name, value)
    for name in FUNCTIONS
    for parameter in inspect.signature(getattr(dermedge, name)).parameters.values()
    for value in STRANGE.get(str(parameter.annotation), [])
]


def called(name: str, checkpoint: object, /, **changes):
    """Call a public function with arguments that are good but for `changes`."""
    usual = {
        "checkpoint": checkpoint, "build": Build(Path("no"), None, checkpoint), "module": Net(), "model": "hierattn_xs",
        "labels": ["a", "b"], "side": 32, "photos": None, "folder": "no", "stem": "no", "file": "no.tflite",
        "files": "no.tflite",
        **NUMBERS,
    }  # fmt: skip
    if name in {"train", "fit_answers"}:
        usual |= {"photos": "no", "mean": None, "std": None}
    if name == "matrix":  # of which files were converted is asked for with data sets alone
        usual |= {"checkpoint": None}
    parameters = inspect.signature(getattr(dermedge, name)).parameters
    usual = {key: value for key, value in usual.items() if key in parameters}
    return getattr(dermedge, name)(**{**usual, **changes})


@pytest.mark.parametrize(("name", "parameter", "value"), CASES, ids=lambda value: str(value)[:20])
def test_an_argument_of_another_kind_is_refused_by_name(name, parameter, value, checkpoint, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(dermedge.InputError) as raised:
        called(name, checkpoint, **{parameter: value})
    words = str(raised.value)
    assert f"`{parameter}" in words or "a Checkpoint, a shipped name or a path" in words
    assert not list(tmp_path.glob("build*")), "refused before anything was done"


def test_the_kinds_cover_what_the_functions_take():
    """A parameter of a new kind has to be added to STRANGE, or here."""
    others = {
        "Model", "Sequence[Set]", "str | Path | Checkpoint | None", "Callable[[dict], None] | None", "Any", "str",
        "Sequence[float]", "Sequence[float] | None", "Sequence[str | Label]", "Sequence[bool | None] | None",
        "Mapping[str, Any] | None",
    }  # fmt: skip
    taken = {
        str(parameter.annotation)
        for name in FUNCTIONS
        for parameter in inspect.signature(getattr(dermedge, name)).parameters.values()
    }
    assert taken == others | STRANGE.keys()


@pytest.mark.parametrize(
    "options",
    [
        {"batch": "8"}, {"learning_rate": "x"}, {"folds": "5"}, {"workers": "1"}, {"seed": 1.5}, {"stages": 5},
        {"stages": [(64,)]}, {"stages": [(64, 1.5)]}, {"also": [4]}, {"init": 5}, {"precision": 5}, {"on_epoch": 3},
        {"ema": None}, {"mean": (0.5, 0.5, 0.5)}, {"scale": 255}, {"name": "mine"},
    ],
    ids=str,
)  # fmt: skip
def test_training_refuses_other_kinds(options, checkpoint):
    (name,) = options
    with pytest.raises(dermedge.InputError, match=f"`{name}"):
        called("train", checkpoint, **options)


@pytest.mark.parametrize("value", [np.int64(3), 3.0, np.float32(3), np.array(3)])
def test_numpys_whole_numbers_are_pythons(value):
    assert checks.whole(value, "n", 1) == 3 and type(checks.whole(value, "n")) is int


def test_other_values_that_count():
    assert checks.truth(np.True_, "t") is True
    assert checks.number(torch.tensor(0.5), "x") == 0.5 and checks.number(np.float32(0.5), "x") == 0.5
    assert checks.names("fp32", "recipes") == ["fp32"]
    checks.listener(print)
    checks.listener(lambda progress: None)


# -- single parameters whose messages misled


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scale": "255"}, "`scale` is a number, got '255' (str); give the number without quotes"),
        (
            {"mean": (123.7, 116.3, 103.5)},
            "each number is then 0 to 1, got 123.7; for values in 0..255 say `scale=255`",
        ),
        ({"std": (0.2, 0.2, 0.0)}, "each number is then above 0 and up to 1, got 0;"),
        ({"labels": ["a b", "a_b"]}, "a_b stands there 2 times"),
        ({"malignant": [True]}, "1 entries for 2 labels; give True, False or None for each"),
        (
            {"malignant": [np.array([1, 2]), True]},
            "`malignant` holds True, False or None for each class, got array([1, 2]) (ndarray)",
        ),
        ({"side": 64.5}, "`side` is a whole number, got 64.5 (float)"),
        ({"name": 5}, "`name` is a text of 1 to 64 of a-z, 0-9 and _, got 5 (int)"),
        ({"module": nn.Sequential(traced())}, "TorchScript"),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value)[:24],
)
def test_wrap_says_what_is_wrong_with_a_value(changes, words):
    with pytest.raises(dermedge.InputError) as raised:
        wrapped(**changes)
    assert words in str(raised.value)


@pytest.mark.parametrize("labels", [("a", "b"), np.array(["a", "b"]), np.array(["a", "b"], dtype=object)])
def test_labels_come_in_any_row(labels):
    assert [label.code for label in wrapped(labels=labels, side=32.0).labels] == ["a", "b"]


def test_a_folder_that_is_none_is_told_by_the_parameters_name(checkpoint):
    with pytest.raises(dermedge.InputError, match=r"no data folder at /nowhere; give `photos`"):
        dermedge.convert(checkpoint, photos="/nowhere")


# -- what is wrapped


def compiled(net: nn.Module) -> nn.Module:
    return torch.compile(net, backend="eager")


@pytest.mark.parametrize("around", [compiled, nn.DataParallel, lambda net: compiled(nn.DataParallel(net))])
def test_the_network_inside_gives_the_name(around):
    checkpoint = wrapped(around(Net()))
    assert checkpoint.model == "net" and checkpoint.recipe["wrapped"] == "Net"


class Answers(nn.Module):
    """A network with something behind its scores."""

    def __init__(self, behind) -> None:
        super().__init__()
        self.net, self.behind = Net(), behind

    def forward(self, x):
        return self.behind(self.net(x))


@pytest.mark.parametrize("gain", [1.0, 1e-3, 1e3])
def test_a_linear_head_behind_a_norm_is_no_sigmoid(gain, messages):
    """The norm makes every picture alike in size, so that loud ones give small scores as well."""
    net = Net(gain)
    with torch.no_grad():
        net.head.bias.fill_(0.4)
    wrapped(net)
    assert not any("sigmoid" in line for line in messages)


@pytest.mark.parametrize(
    "behind",
    [
        torch.sigmoid,
        lambda s: torch.sigmoid(s[:, None]).squeeze(1),
        lambda s: torch.cat([torch.sigmoid(s[:, :1]), torch.sigmoid(1 - s[:, 1:])], 1),
        nn.functional.hardsigmoid,
    ],
)
def test_a_sigmoid_is_seen_through_what_hands_on(behind, messages):
    wrapped(Answers(behind))
    assert any("sigmoid" in line for line in messages)


@pytest.mark.parametrize(
    "behind", [lambda s: s * torch.sigmoid(s), lambda s: torch.cat([torch.sigmoid(s[:, :1]), s[:, 1:]], 1)]
)
def test_a_sigmoid_within_is_none_at_the_end(behind, messages):
    wrapped(Answers(behind))
    assert not any("sigmoid" in line for line in messages)


def noisy(scores):
    torch.manual_seed(0)
    return scores + torch.randn_like(scores)


def test_seeded_noise_is_told_as_noise():
    with pytest.raises(dermedge.InputError, match="draws random numbers"):
        wrapped(Answers(noisy))


# -- convert


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"formats": ["coreml"], "recipes": ["palette6"], "fine_tune": -1}, "`fine_tune` is at least 0"),
        ({"fine_tune": 3}, "palettes of Core ML"),
        ({"formats": ["coreml"], "recipes": ["fp16"], "fine_tune": 3}, "add palette4"),
    ],
)
def test_epochs_that_nothing_takes_are_refused_first(options, words, checkpoint, tmp_path):
    with pytest.raises(dermedge.InputError, match=words):
        dermedge.convert(checkpoint, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow(reason="converts before the second format breaks")
@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (dermedge.InputError("aten.odd cannot be."), "aten.odd cannot be."),
        (KeyError("odd"), "the conversion of net broke: KeyError: 'odd'. Nothing of coreml was written."),
    ],
)
def test_what_was_written_before_a_format_broke_is_said(
    raised, said, checkpoint, tmp_path, monkeypatch, no_photographs
):
    from dermedge._rooms import room

    def broken(self, source):
        raise raised

    monkeypatch.setattr(room("convert._coreml.format").CoreMLFormat, "lower", broken)
    with pytest.raises(dermedge.InputError) as error:
        dermedge.convert(checkpoint, formats=["tflite", "coreml"], recipes=["fp32"], out=tmp_path / "net")
    assert str(error.value) == (
        f"{said} The files of tflite were written before and stand in {tmp_path / 'net'}; convert the rest into the "
        "same folder with `formats=['coreml']`."
    )
    assert (tmp_path / "net" / "net-fp32.tflite").is_file()


# -- the questions


def test_a_build_knows_its_modes(build):
    with pytest.raises(dermedge.InputError, match=r"no mode 'gpu'; `modes` of .* xnnpack, xnnpack-fp16, reference"):
        dermedge.parity(build, modes=["gpu"])


def test_a_checkpoint_is_no_build(checkpoint):
    with pytest.raises(dermedge.InputError, match=r"got a Checkpoint; `dermedge\.convert` makes"):
        dermedge.parity(checkpoint)
    with pytest.raises(dermedge.InputError, match=r"`\.checkpoint` is one"):
        dermedge.convert(Build(Path("no"), None, checkpoint))


def test_a_decision_is_asked_of_a_build_as_of_its_checkpoint(checkpoint, build):
    for subject in (build, checkpoint, str(build.folder), build.folder):
        with pytest.raises(dermedge.InputError, match="no thresholds were measured for net"):
            dermedge.decision(subject)
    with pytest.raises(dermedge.InputError, match="`thresholds`: decision"):
        dermedge.decision(build, thresholds={"side": 32})
    with pytest.raises(dermedge.InputError, match="`thresholds` is the `decision`"):
        dermedge.decision(build, thresholds=[0.5])


def test_thresholds_come_from_the_builds_manifest_or_from_beside_the_checkpoint(monkeypatch):
    from edge import thresholds
    from edge.questions.decision import measure

    shipped = dermedge.load("hierattn_xs")
    section = thresholds.load(
        thresholds.beside(shipped.path), checkpoint_sha256=shipped.sha256, side=shipped.preprocess.side
    )
    monkeypatch.setattr(measure, "measure", lambda checkpoint, photos, **options: (checkpoint, options["thresholds"]))
    inside = section | {"abstain_threshold": 0.5}
    build = Build(Path("no"), SimpleNamespace(decision=inside), shipped)
    assert dermedge.decision(build) == (shipped, inside)
    assert dermedge.decision("hierattn_xs")[1] == dermedge.decision(shipped)[1] == section


@pytest.mark.slow(reason="a whole parity for one report")
def test_a_report_is_written_into_a_folder(build, no_photographs, tmp_path):
    proof = dermedge.parity(build, images=2)
    with pytest.raises(dermedge.InputError, match="`folder` is the path"):
        proof.write(5)
    assert proof.write(str(tmp_path / "page")).is_file()


def test_who_trained_a_wrapped_network_is_unknown(checkpoint):
    from edge.data.table import PhotoSet
    from edge.report.header import data_block
    from edge.report.words import kind_in

    photos = PhotoSet("set", (), ())
    trained = replace(checkpoint, recipe={})
    assert kind_in(data_block(photos, trained)) == "photographs of patients that may have trained it"
    assert kind_in(data_block(photos, checkpoint)) == "photographs of unseen patients"  # random: nobody trained it
    assert kind_in(data_block(photos, replace(trained, trained={"set": {}}))) == "photographs of unseen patients"
    assert kind_in(data_block(replace(photos, synthetic=True), trained)) == "synthetic images"


# -- an answer


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def test_a_picture_comes_in_three_forms(build, picture, tmp_path):
    """Turned by its EXIF block, as a file's is."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture).save(tmp_path / "photo.png", exif=exif)
    with dermedge.open_model(build.folder / "net-fp32.tflite") as model, Image.open(tmp_path / "photo.png") as image:
        answers = [model.predict(form) for form in (tmp_path / "photo.png", image, np.rot90(picture, -1).copy())]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("photo", [torch.zeros(3, 8, 8), b"\xff\xd8\xff", [[1]], None, 4, ""], ids=str)
def test_what_is_no_picture_is_refused(photo, build):
    with (
        dermedge.open_model(build.folder / "net-fp32.tflite") as model,
        pytest.raises(dermedge.InputError, match="`photo`"),
    ):
        model.predict(photo)


def test_a_picture_that_was_closed_is_refused(build, picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "photo.png")
    with Image.open(tmp_path / "photo.png") as image:
        pass
    with dermedge.open_model(build.folder / "net-fp32.tflite") as model:
        with pytest.raises(dermedge.InputError, match="cannot be decoded"):
            model.predict(image)
        with pytest.raises(dermedge.InputError, match="pixels of the kind F"):
            model.predict(Image.new("F", (8, 8)))


def test_squares_are_checked(build):
    with dermedge.open_model(build.folder / "net-fp32.tflite") as model:
        for squares in (np.zeros((1, 31, 32, 3), np.uint8), np.zeros((1, 32, 32, 3)), None):
            with pytest.raises(dermedge.InputError, match=r"`squares` is a uint8 array \(N, 32, 32, 3\)"):
                model.probabilities(squares)
        assert model.probabilities(np.zeros((2, 32, 32, 3), np.uint8)).shape == (2, 2)


def test_a_closed_model_says_so(build, picture):
    model = dermedge.open_model(build.folder / "net-fp32.tflite")
    model.close()
    model.close()
    with pytest.raises(dermedge.InputError, match=r"was closed; open it again"):
        model.predict(picture)
    with pytest.raises(dermedge.InputError, match=r"was closed; open it again"):
        model.probabilities(picture[None])


def test_python_m_dermedge_is_the_command():
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-m", "dermedge", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"dermedge {dermedge.__version__}"
