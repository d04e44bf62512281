"""Which photographs of data sets the matrix runs files on: none that is an augmented copy, none of whom it knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import dermedge
from dermedge.commands import matrix as command
from edge.checkpoint import Checkpoint, Preprocess, save, shipped
from edge.data.table import Photo, PhotoSet, PreparedFolds
from edge.errors import InputError
from edge.files import sha256
from edge.labels import Label
from edge.manifest import to_json_value
from edge.models import create_model
from edge.questions.matrix import pictures
from tests.edge._manifests import entry, manifest

CLASSES = (Label("mel", "melanoma", malignant=True), Label("nv", "naevus", malignant=False))
NAMES = [f"{code}/{number}.jpg" for code in ("mel", "nv") for number in range(4)]


@pytest.fixture
def balanced() -> PhotoSet:
    """Four photographs of each class, of as many patients, and a copy of one of them."""
    images = [*NAMES, "mel/0.copy001.jpg"]
    photos = tuple(Photo(Path(name), name, name[: name.index("/")], name.split(".")[0], "clinic") for name in images)
    folds = PreparedFolds((frozenset(images),), (frozenset(),), frozenset(images[-1:]), sound=True)
    return PhotoSet("clinic", CLASSES, photos, prepared=folds)


def test_augmented_copies_are_no_pictures_and_that_nobody_knows_is_said(balanced: PhotoSet, tmp_path: Path) -> None:
    chosen = pictures.photographs_in(balanced, 100, [tmp_path])
    assert sorted(map(str, chosen.paths)) == sorted(NAMES)
    assert chosen.note.startswith("8 photographs of 8 patients; who taught it is not known")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two checkpoints that nobody ships: `a` saw mel/0 and nv/1, `b` mel/0 and nv/2."""
    folder = tmp_path_factory.mktemp("runs")
    for name, patient in (("a", "nv/1"), ("b", "nv/2")):
        state = {key: value + (name == "b") for key, value in create_model("hierattn_xs", 2).state_dict().items()}
        saw = {"clinic": {"patients": ["mel/0", patient], "images": []}}
        save(Checkpoint("hierattn_xs", CLASSES, Preprocess("area-2", 32), state, trained=saw), folder / name)
    return {name: folder / f"{name}.safetensors" for name in "ab"}


def converted(folder: Path, weights: Path) -> Path:
    """A folder of files of a checkpoint, of which one is away: it is not asked for."""
    folder.mkdir()
    value = to_json_value(manifest(model="hierattn_xs", checkpoint_sha256=sha256(weights), files=(entry(),)))
    (folder / "manifest.json").write_text(json.dumps(value))
    return folder


def test_whom_one_of_our_networks_saw_is_left_out(balanced: PhotoSet, tmp_path: Path, trained: dict[str, Path]) -> None:
    for name, weights in trained.items():
        converted(tmp_path / name, weights)
    chosen = pictures.photographs_in(balanced, 100, [tmp_path / "a"], [trained["a"]])
    assert {str(path) for path in chosen.paths} == {*NAMES} - {"mel/0.jpg", "nv/1.jpg"}
    assert chosen.note.startswith("6 photographs of 6 patients that no network of a saw")
    both = pictures.photographs_in(balanced, 100, [tmp_path / "a", tmp_path / "b", tmp_path], list(trained.values()))
    assert {str(path) for path in both.paths} == {*NAMES} - {"mel/0.jpg", "nv/1.jpg", "nv/2.jpg"}
    assert "no network of a, b saw; which of them taught the other networks is not known" in both.note
    assert len(pictures.photographs_in(balanced, 2, [tmp_path / "a"], [trained["a"]]).paths) == 2
    elsewhere = pictures.photographs_in(balanced, 100, [tmp_path], [trained["a"]])  # files that were moved
    assert "that no network of a.safetensors saw" in elsewhere.note and elsewhere.paths == chosen.paths
    converted(tmp_path / "c", shipped("hierattn_xs"))
    assert "that no network of c saw" in pictures.photographs_in(balanced, 100, [tmp_path / "c"]).note


def test_a_checkpoint_that_is_not_there_is_asked_for(
    balanced: PhotoSet, tmp_path: Path, trained: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    own = converted(tmp_path / "a", trained["a"])
    for others in ([], [trained["b"]]):
        with pytest.raises(InputError, match=r"neither there nor shipped.*give that one with `checkpoint`"):
            pictures.photographs_in(balanced, 100, [own], others)
    (own / "net-fp32.tflite").write_bytes(b"")
    for path in NAMES:
        drawn = tmp_path / "set" / path
        drawn.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (NAMES.index(path) * 9, 0, 0)).save(drawn)
    asked = [str(own / "net-fp32.tflite"), "--out", str(tmp_path / "out"), "--data", str(tmp_path / "set")]
    assert command.main(asked) == 2 and "give that one with --checkpoint" in capsys.readouterr().err
    known = ["--checkpoint", str(trained["b"]), "--checkpoint", str(trained["a"])]
    assert command.main([*asked, *known]) == 2 and "is no .tflite file" in capsys.readouterr().err  # so it was opened
    with pytest.raises(InputError, match="`checkpoint` says whom to leave out of `photos`"):
        dermedge.matrix(own / "net-fp32.tflite", checkpoint=trained["a"])


@pytest.mark.parametrize("text", ['{"name": "app", "icons": []}', '{"schema": 3}', "[]", "{"])
def test_a_manifest_of_another_tool_says_nothing_of_patients(balanced: PhotoSet, tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert "who taught it is not known" in pictures.photographs_in(balanced, 100, [tmp_path]).note


def test_a_manifest_of_ours_that_is_damaged_is_refused(balanced: PhotoSet, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schema": "dermedge/manifest/3"}')
    with pytest.raises(InputError, match=r"manifest\.json"):
        pictures.photographs_in(balanced, 100, [tmp_path])


def test_sets_of_which_nobody_is_left_are_refused(balanced: PhotoSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photograph is left to look at"):
        pictures.photographs_in(balanced.where(lambda _: False), 8, [tmp_path])


def test_pictures_and_data_sets_are_not_both_taken(balanced: PhotoSet, tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(b"")
    with pytest.raises(InputError, match="give `images`, any folder with pictures, or `photos`, data sets"):
        dermedge.matrix(tmp_path / "a.tflite", tmp_path, photos=balanced)
