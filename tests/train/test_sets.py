"""Several sets at once: what may be mixed, and that masks without classes teach masks and nothing else."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dermedge.commands.train import main
from edge.checkpoint import Checkpoint
from edge.data.identity import archive_id
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from edge.models import create_model
from tests._isic import ROWS_2017, write_2017, write_masks, write_pictures, write_task_1
from train import _cut
from train._batches import Squares, Views
from train._cut import Cut, by_domain, cut_sets
from train._loss import chances, log_priors, loss
from train._objective import Batch, Classify
from train._options import Split
from train._recipe import Recipe
from train._sets import open_sets
from train._start import refuse_seen

NAMES = [f"ISIC_{number:07d}" for number in range(100, 106)]


def test_a_photograph_that_two_sets_have_is_learned_from_once(tmp_path: Path) -> None:
    """ISIC 2018, task 1, holds photographs of ISIC 2017, which may be its unseen ones."""
    write_2017(tmp_path / "classes", ROWS_2017, masks=3)
    write_task_1(tmp_path / "masks", [ROWS_2017[0][0], *NAMES])
    first, second = open_sets(tmp_path / "classes", [tmp_path / "masks"], masks=True)
    assert len(first) == 3 and sorted(photo.image_id for photo in second.photos) == NAMES
    assert second.classes == first.classes and second.targets == [-1] * 6
    assert any("1 photographs that another set has" in note for note in second.notes)
    with pytest.raises(InputError, match="leave it out"):
        open_sets(tmp_path / "classes", [tmp_path / "masks", tmp_path / "masks"], masks=True)


def test_masks_alone_do_not_go_with_a_network_that_learns_none(tmp_path: Path) -> None:
    write_2017(tmp_path / "classes", ROWS_2017, masks=0)
    write_task_1(tmp_path / "masks", NAMES)
    with pytest.raises(InputError, match="no classes"):
        open_sets(tmp_path / "classes", [tmp_path / "masks"], masks=False)


def test_ids_of_ones_own_may_repeat_from_set_to_set(tmp_path: Path) -> None:
    """Only an ISIC id says which photograph it is."""
    for name in ("a", "b"):
        write_pictures(tmp_path / name / "x", ["1", "2"])
        write_pictures(tmp_path / name / "y", ["3", "4"])
    assert [len(one) for one in open_sets(tmp_path / "a", [tmp_path / "b"], masks=False)] == [4, 4]


def test_the_same_bytes_in_two_sets_count_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_pictures(tmp_path / name / "x", ["1", "2"])
        write_pictures(tmp_path / name / "y", ["3", "4"])
    shutil.copy(tmp_path / "a" / "x" / "1.jpg", tmp_path / "b" / "x" / "other.jpg")
    first, second = open_sets(tmp_path / "a", [tmp_path / "b"], masks=False)
    assert len(first) == len(second) == 4 and "x/other.jpg" not in {photo.image_id for photo in second.photos}
    assert any("1 photographs that another set has, too" in note for note in second.notes)


def test_a_folder_of_two_sets_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_2017(tmp_path / name, ROWS_2017, masks=0)
    with pytest.raises(InputError, match="holds 2 sets of photographs: a, b; give one of them"):
        open_sets(tmp_path, masks=False)


def test_sets_of_other_classes_are_refused(tmp_path: Path) -> None:
    write_2017(tmp_path / "classes", ROWS_2017, masks=0)
    write_pictures(tmp_path / "b" / "x", ["1", "2"])
    write_pictures(tmp_path / "b" / "y", ["3", "4"])
    with pytest.raises(InputError, match="has the classes"):
        open_sets(tmp_path / "classes", [tmp_path / "b"], masks=False)


def test_the_loss_is_the_mean_over_what_is_labelled() -> None:
    torch.manual_seed(0)
    logits, adjustment = torch.randn(4, 3), torch.randn(4, 3)
    wanted = torch.eye(3)[[0, 2, 1, 1]]
    some = loss(logits[:2], wanted[:2], adjustment[:2], smoothing=0.1)
    wanted[2:] = 0
    assert loss(logits, wanted, adjustment, smoothing=0.1).item() == pytest.approx(some.item())
    assert loss(logits, torch.zeros(4, 3), adjustment, smoothing=0.1).item() == 0


@pytest.mark.parametrize("evenness", [0.0, 0.5, 1.0])
def test_photographs_without_a_class_keep_their_share_of_the_draws(evenness: float) -> None:
    targets, domains = np.array([0, 0, 0, 1, -1, -1]), np.array([0, 0, 0, 0, 1, 1])
    found = chances(targets, domains, evenness)
    assert found[4:].tolist() == pytest.approx([1 / 6, 1 / 6]) and found.sum() == pytest.approx(1)
    assert torch.exp(log_priors(targets, domains, 2)[1]).tolist() == pytest.approx([0.5, 0.5])


def test_no_class_gets_the_share_of_an_unknown_one() -> None:
    pictures = np.zeros((4, 40, 40, 3), np.uint8)
    squares = Squares(pictures, np.array([1, 1, -1, -1]), np.array([0, 0, 1, 1]))
    views = Views(squares, 32, 2, seed=0, strength=0.0, mixup=1.0)
    shares = np.array([[np.asarray(views[epoch, index][1]) for index in range(4)] for epoch in range(8)])
    assert np.allclose(shares[:, :2].sum(-1), 1) and not shares[:, 2:].any() and not shares[..., 0].any()


def test_a_photograph_without_a_class_moves_the_mask_alone() -> None:
    torch.manual_seed(0)
    objective = Classify(Recipe(model="resformer_lite", descriptors=0, guide=0, class_weight=1.0))
    learner = objective.learner(create_model("resformer_lite", 2)).eval()
    nothing = torch.zeros(2, 2)
    batch = Batch(torch.rand(2, 3, 32, 32), nothing, nothing, torch.empty(2, 0), None, torch.rand(2, 32, 32).round())
    objective.value(learner, batch).backward()
    head = learner.net.get_submodule("classifier")
    assert isinstance(head, nn.Linear) and head.weight.grad is not None and not head.weight.grad.any()
    assert learner.net.mask.weight.grad.any()


@pytest.mark.slow(reason="trains on two sets")
def test_training_with_masks_that_have_no_class(small_sample: Path, tmp_path: Path) -> None:
    """PAD-like photographs without a mask teach the class, ISIC 2018's without a class the mask."""
    shutil.copytree(small_sample, tmp_path / "classes")
    for path in (tmp_path / "classes").rglob("*_segmentation.png"):
        path.unlink()
    names = [f"ISIC_{number:07d}" for number in range(20)]
    write_pictures(tmp_path / "masks" / "ISIC2018_Task1-2_Training_Input", names)
    write_masks(tmp_path / "masks" / "ISIC2018_Task1_Training_GroundTruth", names)
    flags = ["--model", "resformer_lite", "--data", str(tmp_path / "classes"), "--also", str(tmp_path / "masks")]
    run = tmp_path / "run"
    assert main([*flags, "--stages", "32x1", "--batch", "16", "--threads", "1", "--out", str(run)]) == 0
    found = json.loads((run / "checkpoint.json").read_text())
    assert set(found["trained"]) == {"synthetic", "isic_masks"}
    kept_apart = [found[role]["isic_masks"]["images"] for role in ("trained", "held_back", "unseen")]
    assert sorted(name for part in kept_apart for name in part) == names and len(kept_apart[2]) == 4  # a fold of five
    assert found["metrics"]["unseen"]["masks"]["masks"]["images"] == 4  # the folder's name is the set's
    page = json.loads((run / "training.json").read_text())["masks"]
    assert page["by_set"] == found["metrics"]["unseen"]["masks"]
    assert page["sha256"] == hashlib.sha256((run / "unseen_masks.csv").read_bytes()).hexdigest()
    rows = list(csv.DictReader((run / "unseen_masks.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == kept_apart[2]
    history = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    assert 0 <= float(history[-1]["held_back_dice"]) <= 1  # of masks that only the other set has


def photo(name: str, patient: str, domain: str = "isic") -> Photo:
    return Photo(Path(f"{name}.png"), name, "MEL", patient, domain)


def set_of(*photos: Photo) -> PhotoSet:
    return PhotoSet("set", PAD_UFES_20, photos)


def test_a_checkpoint_lists_every_set_of_a_data_set() -> None:
    """Two folders of masks are one data set there; photographs that the list lacks would count as unseen later."""
    found = by_domain([set_of(photo("b", "2")), set_of(photo("a", "1"), photo("c", "2")), set_of()])
    assert found == {"isic": {"patients": ["1", "2"], "images": ["a", "b", "c"]}}


def test_a_patient_of_two_sets_is_in_one_part(monkeypatch) -> None:
    """Other photographs of a lesion that is kept apart must not be learned from, nor the other way round."""
    first = Cut(set_of(photo("a", "1")), set_of(photo("b", "2")), set_of(photo("c", "3")))
    both = [photo(f"x{n}", str(n), "isic_2018") for n in (1, 2, 3, 4)]
    second = Cut(set_of(*both), set_of(*both), set_of(*both))
    cuts = iter([first, second])
    monkeypatch.setattr(_cut, "cut_photos", lambda *_: next(cuts))
    one, two = cut_sets([set_of(*both), set_of(*both)], Split())
    assert one == first
    assert [two.train.patients, two.held_back.patients, two.unseen.patients] == [["1", "4"], ["2", "4"], ["3", "4"]]


def test_patients_of_two_data_sets_of_ones_own_are_others(monkeypatch) -> None:
    cuts = iter([
        Cut(set_of(photo("a", "1", "mine")), set_of(photo("b", "2", "mine")), set_of(photo("c", "3", "mine"))),
        Cut(set_of(photo("d", "3", "yours")), set_of(), set_of()),
    ])  # fmt: skip
    monkeypatch.setattr(_cut, "cut_photos", lambda *_: next(cuts))
    labelled = set_of(photo("d", "3"))
    _, second = cut_sets([labelled, labelled], Split())
    assert second.train.patients == ["3"]


def test_a_set_of_which_everyone_is_kept_apart_is_refused(monkeypatch) -> None:
    cuts = iter([
        Cut(set_of(photo("a", "1")), set_of(photo("b", "2")), set_of(photo("c", "3"))),
        Cut(set_of(photo("d", "3")), set_of(), set_of()),
    ])  # fmt: skip
    monkeypatch.setattr(_cut, "cut_photos", lambda *_: next(cuts))
    labelled = set_of(photo("d", "3"))
    with pytest.raises(InputError, match="leave it out"):
        cut_sets([labelled, labelled], Split())


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("ISIC_0000017", "ISIC_0000017"), ("ISIC_0000017_downsampled", "ISIC_0000017"),
        ("BCC/ISIC_0000017.jpg", "ISIC_0000017"), ("PAT_1_2_3.png", "PAT_1_2_3"), ("ISIC_00000171", None),
        ("mine/BCC/PAT_1_2_3.jpg", "PAT_1_2_3"), ("PAT_1_2.png", None), ("PAT_1_2_3_4.png", None),
    ],
)  # fmt: skip
def test_a_public_id_is_known_in_every_guise(image: str, found: str | None) -> None:
    assert archive_id(image) == found


def test_a_start_that_saw_the_photographs_under_another_patient_is_refused() -> None:
    """Without its table of lesions every photograph was a patient of its own; with it they have others' names."""
    start = Checkpoint(
        "m", PAD_UFES_20, None, {},  # type: ignore[arg-type]
        trained={"isic_2018": {"patients": ["isic:ISIC_0000001"], "images": ["ISIC_0000001"]}},
    )  # fmt: skip
    with pytest.raises(InputError, match="learned from 1 patients"):
        refuse_seen(start, [set_of(photo("ISIC_0000001", "isic:HAM_1", "isic_2018"))])
    refuse_seen(start, [set_of(photo("ISIC_0000002", "isic:HAM_1", "isic_2018")), set_of()])


def test_without_a_class_neither_descriptors_nor_guide_teach() -> None:
    torch.manual_seed(0)
    objective = Classify(Recipe(model="resformer_lite", descriptors=3.0, guide=6.0))
    learner = objective.learner(create_model("resformer_lite", 2)).eval()
    outputs = learner.read.out_features
    guide = (torch.randn(outputs, 2), torch.randn(2))
    images, masks = torch.rand(2, 3, 32, 32), torch.rand(2, 32, 32).round()

    def gradient(wanted: torch.Tensor) -> torch.Tensor:
        learner.zero_grad()
        batch = Batch(images, wanted, torch.zeros(2, 2), torch.ones(2, outputs), guide, masks)
        objective.value(learner, batch).backward()
        return torch.cat(
            [learner.read.weight.grad.ravel(), learner.net.get_submodule("classifier").weight.grad.ravel()]
        )

    assert not gradient(torch.zeros(2, 2)).any()
    assert gradient(torch.eye(2)).any()


def test_a_mask_that_fits_no_photograph_is_found_before_training(small_sample: Path, tmp_path: Path, capsys) -> None:
    """In the unseen part it would be met after the last epoch. The run of before stays, with --force too."""
    shutil.copytree(small_sample, tmp_path / "data")
    flags = ["--model", "resformer_lite", "--data", str(tmp_path / "data"), "--stages", "32x1", "--threads", "1"]
    flags += ["--out", str(tmp_path / "run"), "--force"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.json").write_text("{}")
    for path in (tmp_path / "data").rglob("*_segmentation.png"):
        Image.new("L", (9, 9), 255).save(path)
    assert main(flags) == 2
    assert "9x9 pixels" in capsys.readouterr().err and (tmp_path / "run" / "checkpoint.json").exists()
    for path in (tmp_path / "data").rglob("*_segmentation.png"):
        path.unlink()
    assert main(flags) == 2
    assert "none of the photographs has one" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "run" / "checkpoint.json").exists()
