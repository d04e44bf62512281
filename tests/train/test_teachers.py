"""What a network learns from others that are trained already."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from edge.checkpoint import Checkpoint, Preprocess, load, save
from edge.errors import InputError
from edge.labels import Label
from edge.models import create_model
from train import _folds, _trainer
from train._batches import Squares
from train._fold_checks import check_finished
from train._folds import FoldsStopped, cross_validate
from train._objective import Batch, Classify, Taught
from train._options import Machine, Split
from train._predict import predict
from train._recipe import Recipe
from train._run import train
from train._stop import Interrupted, StopRequest
from train._teachers import Teaching, check_teachers, opened_teachers, teacher_path
from train._trainer import Trainer
from train._training_data import TrainingData

SIDE = 32
RGB = ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
LEARNER = Preprocess("v", SIDE, (0.1, 0.2, 0.3), (0.9, 0.8, 0.7))


class Coloured(nn.Module):
    """A picture's mean colour and a linear layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(3, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(4 * images.mean(dim=(2, 3)))


def teacher(codes: str, *, side: int = SIDE, seed: int = 0, sha256: str = "") -> Checkpoint:
    torch.manual_seed(seed)
    labels = tuple(Label(code, code, malignant=False) for code in codes)
    net = Coloured(len(codes)).eval()
    return Checkpoint("coloured", labels, Preprocess("v", side, *RGB), {}, live=net, sha256=sha256, program=b"-")


def teaching(*teachers: Checkpoint, codes: str = "abc", features: bool = False, keeps: bool = False) -> Teaching:
    return Teaching(
        teachers, list(codes), LEARNER, torch.device("cpu"), features=features, keeps=keeps, autocast=nullcontext
    )


def pictures(count: int = 4, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def learner_input(images: np.ndarray) -> Tensor:
    mean, std = (torch.tensor(value).reshape(1, 3, 1, 1) for value in (LEARNER.mean, LEARNER.std))
    return (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std


def test_a_teacher_answers_as_it_does_alone_in_the_order_of_the_learner():
    """With another normalisation than the learner's, whose numbers are what it is given."""
    one, images = teacher("cab"), pictures()
    alone = torch.from_numpy(predict(one.network(), images, one.preprocess)).softmax(1)[:, [1, 2, 0]]
    answer = teaching(one).answer(learner_input(images), torch.arange(4))
    torch.testing.assert_close(answer.logits.softmax(1).double(), alone, atol=1e-5, rtol=0)
    assert answer.features.shape == (4, 0)


@pytest.mark.parametrize("side", [SIDE, 2 * SIDE, SIDE // 2])
def test_a_teacher_sees_the_picture_in_its_own_size(side):
    sizes = []
    one = teacher("abc", side=side)
    one.network().register_forward_pre_hook(lambda module, given: sizes.append(tuple(given[0].shape)))
    teaching(one).answer(learner_input(pictures()), torch.arange(4))
    assert sizes == [(4, 3, side, side)]


def test_several_teachers_give_the_mean_of_their_probabilities():
    images = pictures()
    both = [teacher("abc", seed=seed) for seed in (1, 2)]
    alone = [torch.from_numpy(predict(one.network(), images, one.preprocess)).softmax(1) for one in both]
    answer = teaching(*both).answer(learner_input(images), torch.arange(4))
    torch.testing.assert_close(answer.logits.softmax(1).double(), sum(alone) / 2, atol=1e-5, rtol=0)


def test_a_view_that_is_kept_is_answered_once():
    one = teacher("abc")
    seen = []
    one.network().register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    answers, images = teaching(one, keeps=True), learner_input(pictures())
    first = answers.answer(images, torch.tensor([7, 8, 9, 7]))
    again = answers.answer(images.flip(0), torch.tensor([7, 9, 8, 7]))
    assert seen == [1, 1, 1]
    assert torch.equal(again.logits, first.logits[[0, 2, 1, 0]])


def test_features_are_those_of_the_first_teacher_in_standard_deviations():
    squares = pictures(40, 40)
    squares[:20] //= 2
    first, second = teacher("abc", seed=1), teacher("abc", seed=2)
    both = teaching(first, second, features=True)
    both.measure(squares, SIDE)
    middle = squares[:, 4:-4, 4:-4]
    answer = both.answer(learner_input(middle), torch.arange(40))
    torch.testing.assert_close(answer.features.mean(0), torch.zeros(3), atol=0.05, rtol=0)
    torch.testing.assert_close(answer.features.std(0), torch.ones(3), atol=0.05, rtol=0)
    colours = (torch.from_numpy(middle).permute(0, 3, 1, 2) / 255).mean(dim=(2, 3))
    for own, colour in zip(answer.features.T, colours.T, strict=True):
        assert np.corrcoef(own, colour)[0, 1] > 0.999


@pytest.mark.parametrize(
    ("codes", "words"), [("abd", "answers for a, b, d, this run for a, b, c"), ("ab", "a, b, this run"), ("abcd", "d,")]
)
def test_a_teacher_of_other_classes_is_refused(codes, words):
    with pytest.raises(InputError, match=words):
        check_teachers([teacher(codes)], teacher("abc").labels, [])


def test_a_folder_of_folds_gives_the_teacher_of_the_same_fold(tmp_path):
    for fold in (0, 2):
        save(random_checkpoint(fold), tmp_path / f"fold-{fold}" / "checkpoint")
    assert teacher_path(tmp_path, 2) == tmp_path / "fold-2" / "checkpoint.safetensors"
    assert opened_teachers([tmp_path], 2, TINY)[0].sha256 == load(tmp_path / "fold-2").sha256
    with pytest.raises(InputError, match=r"has no finished fold 1 \(fold-1/checkpoint.json\)"):
        teacher_path(tmp_path, 1)
    with pytest.raises(InputError, match="no checkpoint at"):
        teacher_path(tmp_path / "none.safetensors", 0)


def random_checkpoint(seed: int, model: str = "shufflenetv2") -> Checkpoint:
    torch.manual_seed(seed)
    labels = tuple(Label(code, code, malignant=False) for code in "abc")
    return Checkpoint(model, labels, Preprocess("area-2", SIDE), create_model(model, 3).state_dict())


# The objective


def batch(logits: Tensor, features: Tensor, *, labelled: bool = True) -> Batch:
    count = len(logits)
    wanted = torch.eye(3)[torch.arange(count) % 3] if labelled else torch.zeros(count, 3)
    return Batch(
        torch.zeros(count, 3, 8, 8), wanted, torch.zeros(count, 3), torch.empty(count, 0), None, None,
        Taught(logits, features),
    )  # fmt: skip


class Fixed(nn.Module):
    def __init__(self, logits: Tensor, read: Tensor) -> None:
        super().__init__()
        self.logits, self.read = logits, read

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.logits, self.read, self.logits[:, :0], self.logits[None, :0]


@pytest.mark.parametrize("labelled", [True, False])
def test_the_loss_is_the_labels_and_the_distance_from_the_teacher(labelled):
    """Kullback-Leibler in float64 beside it; a photograph without a class has the teacher's part alone."""
    rng = np.random.default_rng(1)
    mine, theirs = (torch.from_numpy(rng.normal(size=(6, 3))).float() for _ in range(2))
    read, seen = (torch.from_numpy(rng.normal(size=(6, 5))).float() for _ in range(2))
    plain = Recipe(descriptors=0, guide=0, label_smoothing=0, distil=0, distil_features=0)
    taught = replace(plain, distil=2.0, distil_features=3.0)
    given = batch(theirs, seen, labelled=labelled)
    labels = float(Classify(plain, 5).value(Fixed(mine, read), given))
    total = float(Classify(taught, 5).value(Fixed(mine, read), given))
    p, q = (x.double().softmax(1).numpy() for x in (theirs, mine))
    apart = (p * np.log(p / q)).sum(1).mean()
    squared = ((read - seen).double().numpy() ** 2).mean()
    assert total - labels == pytest.approx(2 * apart + 3 * squared, abs=1e-5)
    assert (labels == 0) != labelled


# A run


TINY = Recipe(
    "shufflenetv2", ((SIDE, 2),), batch=4, descriptors=0, guide=0, ema=0.9, variants=2, mixup=0.5, learning_rate=1e-3
)  # fmt: skip


@pytest.mark.slow(reason="trains several networks")
@pytest.mark.parametrize("stop_after", [2, 3])
def test_a_resumed_run_with_a_teacher_is_the_uninterrupted_one(stop_after, tmp_path, monkeypatch):
    rng = np.random.default_rng(5)
    squares = Squares(rng.integers(0, 256, (12, 40, 40, 3), np.uint8), np.arange(12) % 3, np.zeros(12, np.int64))
    held_back = rng.integers(0, 256, (6, SIDE, SIDE, 3), np.uint8), np.arange(6) % 3
    data = TrainingData(3, lambda side: squares, lambda side: held_back)
    taught_by = [replace(random_checkpoint(9), sha256="nine")]

    class StopsItself(StopRequest):
        steps = 0

        @property
        def asked(self) -> bool:
            StopsItself.steps += 1
            return StopsItself.steps == stop_after

    def run(folder: Path, teachers: list[Checkpoint] = taught_by, *, resume: bool = False) -> dict[str, Tensor]:
        trainer = Trainer(
            TINY, Preprocess("v", SIDE), data, folder=folder, machine=Machine(precision="32-true"),
            teachers=(teachers, list("abc")),
        )  # fmt: skip
        return trainer.fit(resume=resume).state

    whole = run(tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(_trainer, "StopRequest", StopsItself)
        run(tmp_path / "cut")
    with pytest.raises(InputError, match=r"other settings .*the teachers"):
        run(tmp_path / "cut", [replace(random_checkpoint(9), sha256="ten")], resume=True)
    resumed = run(tmp_path / "cut", resume=True)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    alone = run(tmp_path / "alone", [])
    assert not torch.equal(alone["classifier.weight"], whole["classifier.weight"])


@pytest.mark.slow(reason="trains several networks")
def test_a_run_keeps_what_its_teachers_have_seen(small_sample: Path, tmp_path: Path, monkeypatch, messages) -> None:
    """In its lists, so that nobody judges it on a patient that it has heard of; and one of another fold is refused.

    Of a teacher that lists nobody the log warns, and what it taught says so.
    """
    recipe = replace(TINY, stages=((SIDE, 1),))
    first = train(recipe, small_sample, folder=tmp_path / "cv" / "fold-0", split=Split(3))
    domain = next(iter(first.checkpoint.trained))
    elsewhere = {"patients": ["ZZZ"], "images": ["zzz.jpg"]}
    wider = replace(
        first.checkpoint,
        trained={**first.checkpoint.trained, "clinic": elsewhere},
        held_back={domain: elsewhere},
        data=[*first.checkpoint.data, {"name": "clinic", "sha256": "c"}],
    )
    run = train(
        recipe, small_sample, folder=tmp_path / "taught", split=Split(3), teachers=[tmp_path / "cv", wider]
    )  # fmt: skip
    entry = {"model": "shufflenetv2", "side": SIDE, "sha256": first.checkpoint.sha256}
    assert run.checkpoint.recipe["teachers"] == [entry, entry]
    assert not run.checkpoint.patients_unknown and not any("is unknown" in line for line in messages)
    assert run.checkpoint.trained == {**first.checkpoint.trained, "clinic": elsewhere}
    assert set(run.checkpoint.held_back[domain]["patients"]) == {*first.checkpoint.held_back[domain]["patients"], "ZZZ"}
    assert [part["name"] for part in run.checkpoint.data] == [first.checkpoint.data[0]["name"], "clinic"]  # each once

    unlisted = replace(first.checkpoint, trained={}, held_back={}, unseen={})
    doubtful = train(recipe, small_sample, folder=tmp_path / "doubtful", split=Split(3), teachers=[unlisted])
    assert doubtful.checkpoint.patients_unknown
    assert sum("which patients trained" in line and "is unknown" in line for line in messages) == 1

    other = {"split": Split(3, fold=1), "teachers": [first.checkpoint_path]}
    with pytest.raises(InputError, match=r"`teacher` learned from \d+ patients"):
        train(recipe, small_sample, folder=tmp_path / "other", **other)
    monkeypatch.setattr(_folds, "train_folds", lambda *_, **__: pytest.fail("a fold was trained"))
    with pytest.raises(InputError, match=r"`teacher` learned from \d+ patients"):  # before fold 0 is trained
        cross_validate(recipe, small_sample, folder=tmp_path / "cv2", split=Split(3), teachers=[first.checkpoint_path])
    with pytest.raises(
        InputError, match=r"fold-0 was trained with other settings or photographs \(learning_rate, answers\)"
    ):
        cross_validate(
            replace(recipe, learning_rate=2e-3), small_sample, folder=tmp_path / "cv", split=Split(3), answers=True
        )
    changed = tmp_path / "changed"  # another machine's copy, in which photographs were edited
    copytree(small_sample, changed)
    for photograph in sorted(changed.rglob("*.jpg"))[:20]:
        with Image.open(photograph) as image:
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photograph)
    with pytest.raises(InputError, match=r"fold-0 was trained with other settings or photographs \(photographs\)"):
        cross_validate(recipe, changed, folder=tmp_path / "cv", split=Split(3))
    monkeypatch.setattr(_folds, "train_folds", lambda runs, *_, **__: dict.fromkeys(range(len(runs)), 1))
    for skip_unreadable in (False, True):  # the same photographs: it goes on
        with pytest.raises(FoldsStopped):
            cross_validate(
                recipe, small_sample, folder=tmp_path / "cv", split=Split(3), skip_unreadable=skip_unreadable
            )


def test_a_finished_fold_of_other_teachers_is_not_pooled(tmp_path):
    taught = random_checkpoint(0)
    taught.recipe.update(json.loads(json.dumps(asdict(TINY))), folds=3, teachers=[{"sha256": "one"}])
    save(taught, tmp_path / "checkpoint")
    teachers = [replace(random_checkpoint(1), sha256=name) for name in ("one", "two")]
    check_finished(tmp_path, TINY, Split(3), None, teachers[:1], answers=False)
    check_finished(tmp_path / "none", TINY, Split(3), None, teachers, answers=False)
    for others in ([], teachers[1:], teachers):
        with pytest.raises(InputError, match=r"other settings or photographs \(teachers\)"):
            check_finished(tmp_path, TINY, Split(3), None, others, answers=False)
    with pytest.raises(InputError, match=r"other settings or photographs \(batch, folds\)"):
        check_finished(tmp_path, replace(TINY, batch=5), Split(4), None, teachers[:1], answers=False)


@pytest.mark.parametrize(
    ("recipe", "teachers", "words"),
    [
        (replace(TINY, distil_features=1.0), ["headless"], "teacher coloured has no linear layer called classifier"),
        (replace(TINY, distil=0, distil_features=0), ["abc"], "would teach nothing"),
        (replace(TINY, distil=2.0), [], "`distil` is the weight of what teachers say, and there are none"),
    ],
)
def test_what_teachers_cannot_teach_is_refused_before_the_old_run_is_gone(recipe, teachers, words, tmp_path):
    (tmp_path / "checkpoint.json").write_text("{}")
    given = [teacher("abc") for _ in teachers]
    if teachers == ["headless"]:
        given[0].live.classifier = nn.Sequential(given[0].live.classifier)
    with pytest.raises(InputError, match=words):
        train(recipe, tmp_path, folder=tmp_path, teachers=given, force=True)
    assert (tmp_path / "checkpoint.json").is_file()


def test_a_teacher_that_was_handed_over_stays_as_it_was():
    """A hook or a frozen parameter would stay with whoever trains or converts it next."""
    one = teacher("abc")
    net = one.network()
    teaching(one, features=True).answer(learner_input(pictures()), torch.arange(4))
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not net.classifier._forward_pre_hooks
