"""A search gives one table, whoever trains its folds, and whatever becomes of them."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Thread, Timer
from typing import Any

import numpy as np
import pytest

from dermedge.commands import search as command
from dermedge.commands import train as training
from edge.data.readers import open_photos
from edge.errors import InputError
from edge.files import write_json
from edge.locks import Lock
from edge.questions.search.measure import TABLE, SearchReport
from train import _fold_runs, _folds, _search, _search_opened, _slots
from train._cut import cut_sets
from train._fold_runs import FoldRun, claim
from train._folder import UNSEEN, write_answers
from train._folds import Sources, cross_validate
from train._options import Machine, Split
from train._recipe import Recipe
from train._search import Search, search
from train._space import read_space
from train._trainer import as_json

SPACE = {"trials": 3, "seed": 1, "recipe": {"learning_rate": {"low": 1e-4, "high": 1e-2, "scale": "log"}}}
BASE = Recipe(model="shufflenetv2", stages=((32, 1),), batch=4)
SPLIT = Split(3, held_back=0.25)
FORK = multiprocessing.get_context("fork")


def pretended(run: FoldRun, environment: object, *, force: bool, children: list) -> int:
    """What a fold leaves, by its flags alone and without training: answers that a larger rate makes better."""
    place = run.folder.parents[1]
    with (place / "trained").open("a") as trained:
        trained.write(f"{run.name}\n")
    args = training.parser().parse_args(list(run.flags))
    recipe, split = training.recipe_of(args), training.split_of(args)
    if (place / "broken").is_file() and (place / "broken").read_text() == run.name:
        run.log.write_text("Traceback\nMemoryError: too large\n")
        return 1
    time.sleep(float(os.environ.get("PRETENDED_S", "0")))
    cut = cut_sets([open_photos(args.data)], split)[0]
    unseen = cut.unseen
    rng = np.random.default_rng([int(recipe.learning_rate * 1e7), split.fold])
    logits = rng.normal(size=(len(unseen), 2)) + 300 * recipe.learning_rate * np.eye(2)[np.array(unseen.targets)]
    write_answers(run.folder / UNSEEN, unseen, logits)
    facts = {**as_json(asdict(recipe)), "precision": "32-true"}
    write_json(
        run.folder / "checkpoint.json", {"recipe": facts, "metrics": {}, "data": [{"sha256": cut.train.sha256()}]}
    )
    return 0


def pretend(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_fold_runs, "train_fold", pretended)
    patch.setattr(_fold_runs, "LOOK_S", 0.05)
    patch.setattr(_folds, "baselines", lambda *_, **__: {"none": {}})


@pytest.fixture(autouse=True)
def without_training(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)


def searched(
    data: Path, folder: Path, *, jobs: int = 1, retry: bool = False, space: dict[str, Any] = SPACE, split: Split = SPLIT
) -> Search:
    return search(
        BASE, read_space(space), Sources(data), folder=folder, split=split, machine=Machine("32-true"), jobs=jobs,
        retry=retry,
    )  # fmt: skip


def begun(data: Path, folder: Path, jobs: int = 1) -> Any:
    process = FORK.Process(target=searched, args=(data, folder), kwargs={"jobs": jobs})
    process.start()
    return process


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


def trained(folder: Path) -> Counter[str]:
    return Counter((folder / "trained").read_text().splitlines())


@pytest.fixture(scope="module")
def alone(folder_of_photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search by one process, one fold after the other."""
    folder = tmp_path_factory.mktemp("alone") / "search"
    with pytest.MonkeyPatch.context() as patch:
        pretend(patch)
        searched(folder_of_photographs, folder)
    return folder


def test_the_table_is_sorted_and_tells_the_figures_of_all_folds(alone: Path) -> None:
    from sklearn.metrics import balanced_accuracy_score

    table = rows(alone)
    figures = [float(row["balanced_accuracy"]) for row in table]
    assert figures == sorted(figures, reverse=True) and [row["rank"] for row in table] == ["1", "2", "3"]
    best = alone / f"trial-{int(table[0]['trial']):03d}"
    answers: list[dict[str, str]] = []
    for fold in range(3):
        with (best / f"fold-{fold}" / UNSEEN).open(newline="") as file:
            answers += csv.DictReader(file)
    said = ["ben" if float(row["logit_ben"]) > float(row["logit_mal"]) else "mal" for row in answers]
    expected = balanced_accuracy_score([row["label"] for row in answers], said)
    assert len(answers) == 24 and figures[0] == pytest.approx(expected, abs=1e-4)
    assert all(float(row["balanced_accuracy_low"]) <= float(row["balanced_accuracy"]) for row in table)
    report = json.loads((alone / "search.json").read_text())
    assert report["best"] == int(table[0]["trial"]) and report["corrected"]["value"] < figures[0]
    assert json.loads((best / "cross_validation.json").read_text())["out_of_fold"]["images"] == 24


def test_several_processes_give_the_table_of_one(
    alone: Path, folder_of_photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRETENDED_S", "0.05")  # so that they meet
    processes = [begun(folder_of_photographs, tmp_path, jobs) for jobs in (1, 2, 1)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / TABLE).read_bytes() == (alone / TABLE).read_bytes()
    assert trained(tmp_path) == trained(alone) and set(trained(alone).values()) == {1}
    assert not list(tmp_path.rglob(".*.claim")) and not list(tmp_path.rglob(".lock"))


def test_a_killed_process_costs_its_fold_and_no_more(
    alone: Path, folder_of_photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one that waits takes it over, and nothing has to be told to it."""
    monkeypatch.setenv("PRETENDED_S", "60")
    killed = begun(folder_of_photographs, tmp_path)
    while not (tmp_path / "trained").is_file():
        time.sleep(0.01)
    monkeypatch.setenv("PRETENDED_S", "0")
    other = begun(folder_of_photographs, tmp_path)
    while len(trained(tmp_path)) < 9:  # it has all others, and waits for the first
        time.sleep(0.01)
    time.sleep(0.2)
    assert other.is_alive() and set(trained(tmp_path).values()) == {1}
    os.kill(killed.pid, signal.SIGKILL)
    other.join(60)
    killed.join(60)
    assert other.exitcode == 0 and killed.exitcode == -signal.SIGKILL
    assert trained(tmp_path) == trained(alone) + Counter(["trial 0, fold 0"])
    assert (tmp_path / TABLE).read_bytes() == (alone / TABLE).read_bytes()


def test_a_failed_trial_is_named_and_stops_no_other(alone: Path, folder_of_photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("trial 1, fold 1")
    searched(folder_of_photographs, tmp_path)
    table = {row["trial"]: row for row in rows(tmp_path)}
    assert [table[number]["status"] for number in "012"] == ["finished", "failed", "finished"]
    assert table["1"]["reason"] == "fold 1, exit code 1: MemoryError: too large" and not table["1"]["rank"]
    assert rows(tmp_path)[-1]["trial"] == "1" and "trial 1, fold 2" not in trained(tmp_path)
    searched(folder_of_photographs, tmp_path)
    assert trained(tmp_path)["trial 1, fold 1"] == 1  # it would fail again
    (tmp_path / "broken").unlink()
    searched(folder_of_photographs, tmp_path, retry=True)
    assert (tmp_path / TABLE).read_bytes() == (alone / TABLE).read_bytes()
    assert trained(tmp_path) == trained(alone) + Counter(["trial 1, fold 1"])


def test_a_recipe_that_cannot_be_is_a_failed_trial(folder_of_photographs: Path, tmp_path: Path) -> None:
    """Each value is right by itself: contrast takes an even batch."""
    choices = {"recipe": {"batch": [4, 5], "contrast": [0.0, 1.0]}}
    result = searched(folder_of_photographs, tmp_path, space=choices)
    (failed,) = [trial for trial in result.report.report["trials"] if trial["status"] == "failed"]
    assert failed["varied"] == {"batch": 5, "contrast": 1.0} and "`batch` is even, got 5" in failed["reason"]
    with pytest.raises(InputError, match="no trial can be trained"):
        searched(folder_of_photographs, tmp_path / "none", space={"recipe": {"contrast": [1.0], "batch": [5]}})


def test_another_search_does_not_mix_with_the_one_that_is_there(alone: Path, folder_of_photographs: Path) -> None:
    with pytest.raises(InputError, match="holds a search of other trials"):
        searched(folder_of_photographs, alone, space={**SPACE, "seed": 2})
    with pytest.raises(InputError, match="of 3 trials, of which these are 2"):
        searched(folder_of_photographs, alone, space={**SPACE, "trials": 2})
    with pytest.raises(InputError, match="holds a search of other split"):
        searched(folder_of_photographs, alone, split=Split(4, held_back=0.25))


def test_a_search_can_be_made_longer(alone: Path, folder_of_photographs: Path, tmp_path: Path) -> None:
    searched(folder_of_photographs, tmp_path)
    searched(folder_of_photographs, tmp_path, space={**SPACE, "trials": 4})
    assert len(rows(tmp_path)) == 4 and set(trained(tmp_path).values()) == {1}
    before = {row["trial"]: row["balanced_accuracy"] for row in rows(alone)}
    assert before.items() <= {row["trial"]: row["balanced_accuracy"] for row in rows(tmp_path)}.items()


def test_a_fold_that_is_trained_again_counts_as_it_is_now(folder_of_photographs: Path, tmp_path: Path) -> None:
    """The figures of its trial were written with the fold as it was."""
    searched(folder_of_photographs, tmp_path)
    before = {row["trial"]: float(row["balanced_accuracy"]) for row in rows(tmp_path)}
    table = tmp_path / "trial-001" / "fold-1" / UNSEEN
    with table.open(newline="") as file:
        answers = list(csv.DictReader(file))
    for row in answers:
        wrong = "mal" if row["label"] == "ben" else "ben"
        row.update({"logit_ben": "0", "logit_mal": "0", f"logit_{wrong}": "9"})
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(answers[0]))
        writer.writeheader()
        writer.writerows(answers)
    searched(folder_of_photographs, tmp_path)
    after = {row["trial"]: float(row["balanced_accuracy"]) for row in rows(tmp_path)}
    assert after["1"] < before["1"] and {**after, "1": 0} == {**before, "1": 0}
    told = json.loads((tmp_path / "trial-001" / "cross_validation.json").read_text())
    assert told["out_of_fold"]["balanced_accuracy"]["value"] == pytest.approx(after["1"], abs=1e-4)


def test_the_table_is_written_by_one_at_a_time(
    folder_of_photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a process that read the trials earlier could write over the table of one that read more."""
    write, free = SearchReport.write, []

    def written(self: SearchReport, folder: Path) -> Path:
        other = Lock(folder, _search.TABLE_LOCK)
        free.append(other.take())
        other.free()
        return write(self, folder)

    monkeypatch.setattr(SearchReport, "write", written)
    searched(folder_of_photographs, tmp_path)
    assert free == [False]


def test_what_one_machine_cannot_open_another_may_have_finished(
    alone: Path, folder_of_photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(alone, tmp_path / "search")
    check = Recipe.check

    def lacking(self: Recipe) -> None:
        check(self)
        if self.learning_rate == rates[1]:
            raise InputError("a package is not installed")

    rates = [trial["learning_rate"] for trial in read_space(SPACE).drawn()]
    monkeypatch.setattr(Recipe, "check", lacking)
    searched(folder_of_photographs, tmp_path / "search")
    assert (tmp_path / "search" / TABLE).read_bytes() == (alone / TABLE).read_bytes()


def test_photographs_that_cannot_be_read_are_looked_for_once(
    folder_of_photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def sets_of(sources: Sources, *, masks: bool) -> list:
        asked.append(masks)
        raise InputError("the table has no column of patients")

    monkeypatch.setattr(_search_opened, "sets_of", sets_of)
    with pytest.raises(InputError, match=r"^the table has no column of patients"):
        searched(folder_of_photographs, tmp_path)
    assert asked == [False]


def test_the_threads_that_joined_say_how_many_folds_train_here(
    folder_of_photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search that is there has four threads a fold, which eight cores are enough for twice, not eight times."""
    monkeypatch.setattr(_slots, "gpus", list)
    for module in (_search, _slots):
        monkeypatch.setattr(module, "cores", lambda: 8)
    at_once: list[int] = []
    train_folds = _search.train_folds

    def counted(runs: list[FoldRun], environments: list, **more: Any) -> dict[int, int]:
        at_once.append(len(environments))
        return train_folds(runs, environments, **more)

    monkeypatch.setattr(_search, "train_folds", counted)
    for threads in (4, None):
        search(
            BASE, read_space(SPACE), Sources(folder_of_photographs), folder=tmp_path, split=SPLIT,
            machine=Machine("32-true", threads=threads),
        )  # fmt: skip
    assert at_once == [2, 2]


def test_two_cross_validations_of_other_recipes_are_not_pooled(
    folder_of_photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each took half of the folds before the other had one; both are refused by name."""
    monkeypatch.setattr(_folds, "baselines", lambda *_, **__: {})
    both = Barrier(2, timeout=30)
    pretended_alone = _fold_runs.train_fold

    def meeting(run: FoldRun, environment: object, *, force: bool, children: list) -> int:
        with suppress(BrokenBarrierError):
            both.wait()  # so that each has trained one
        return pretended_alone(run, environment, force=force, children=children)

    def begin(rate: float) -> None:
        recipe = replace(BASE, learning_rate=rate)
        try:
            cross_validate(
                recipe, folder_of_photographs, folder=tmp_path / "cv", split=Split(2, held_back=0.25),
                machine=Machine("32-true"), jobs=1,
            )  # fmt: skip
        except InputError as error:
            said.append(str(error))

    said: list[str] = []
    monkeypatch.setattr(_fold_runs, "train_fold", meeting)
    threads = [Thread(target=begin, args=(rate,)) for rate in (1e-3, 1e-2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(said) == 2 and all(
        "was trained with other settings or photographs (learning_rate)" in words for words in said
    )
    assert not (tmp_path / "cv" / "cross_validation.json").exists()


def test_a_fold_whose_process_outlived_its_parent_is_left_to_it(tmp_path: Path) -> None:
    """Two trainings in one folder would be refused, and count as failed."""
    run = FoldRun("fold 0", (), tmp_path / "fold-0")
    run.folder.mkdir()
    orphan = Lock(run.folder)
    assert orphan.take()
    assert claim(run) is None
    orphan.free()
    held = claim(run)
    assert held is not None and claim(run) is None
    held.free()
    assert not list(tmp_path.glob(".*"))


def test_a_fold_that_somebody_trains_did_not_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose parent was killed as it started takes the folder after this process looked; it is waited for."""
    run = FoldRun("fold 0", (), tmp_path / "fold-0")
    orphan = Lock(run.folder)
    ended: list[int] = []

    def refused(own: FoldRun, environment: object, *, force: bool, children: list) -> int:
        assert orphan.take()
        Timer(0.3, finish).start()
        return 2

    def finish() -> None:
        write_json(run.folder / "checkpoint.json", {})
        orphan.free()

    monkeypatch.setattr(_fold_runs, "train_fold", refused)
    assert _fold_runs.train_folds([run], [{}], on_end=lambda _, code: ended.append(code)) == {0: 0}
    assert not ended


def test_a_machine_on_which_every_fold_fails_spoils_no_search(
    alone: Path, folder_of_photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(_fold_runs, "train_fold", full_disk)
        with pytest.raises(InputError, match=r"3 trials failed here and no fold .* OSError: No space left"):
            searched(folder_of_photographs, tmp_path)
    assert not list(tmp_path.rglob("*.failed.json"))
    searched(folder_of_photographs, tmp_path)
    assert (tmp_path / TABLE).read_bytes() == (alone / TABLE).read_bytes()


def test_failures_before_the_first_success_are_kept_after_it(folder_of_photographs: Path, tmp_path: Path) -> None:
    """The first trial fails by itself, as the others show."""
    (tmp_path / "broken").write_text("trial 0, fold 0")
    searched(folder_of_photographs, tmp_path)
    assert {row["trial"]: row["status"] for row in rows(tmp_path)}["0"] == "failed"
    assert [path.parent.name for path in tmp_path.rglob("*.failed.json")] == ["trial-000"]
    assert "trial 0, fold 1" not in trained(tmp_path)


def full_disk(run: FoldRun, environment: object, *, force: bool, children: list) -> int:
    run.log.write_text("Traceback\nOSError: No space left on device\n")
    return 1


def test_gpus_are_dealt_out_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_slots, "gpus", lambda: ["2", "5"])
    assert [own["CUDA_VISIBLE_DEVICES"] for own in _slots.slots(3)] == ["2", "5", "2"]
    assert [own["CUDA_VISIBLE_DEVICES"] for own in _slots.slots(2, 2)] == ["2,5", "2,5"]
    with pytest.raises(InputError, match=r"at most the 2 GPU\(s\)"):
        _slots.slots(1, 3)
    monkeypatch.setattr(_slots, "gpus", list)
    assert _slots.slots(2) == [{}, {}]
    with pytest.raises(InputError, match="`jobs` is at least 1"):
        _slots.slots(0)


FLAGS = [
    "--model", "shufflenetv2", "--stages", "32x1", "--batch", "4", "--folds", "3", "--held-back", "0.25",
]  # fmt: skip


def asked(folder: Path, data: Path, *more: str, space: str = "[recipe]\nmixup = [0.0, 0.4]\n") -> int:
    (folder / "space.toml").write_text(space)
    places = ["--space", str(folder / "space.toml"), "--data", str(data), "--out", str(folder / "search")]
    return command.main([*places, *FLAGS, *more])


def test_the_command_tells_the_best_and_what_it_is_worth(
    folder_of_photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "broken").write_text("trial 1, fold 0")
    assert asked(tmp_path, folder_of_photographs, space="[recipe]\nmixup = [0.0, 0.2, 0.4]\n") == 0
    said = capsys.readouterr()
    assert "2 of 3 trials are finished" in said.out and "The best of 2 is flattered" in said.out
    assert "trial 1 failed: fold 0, exit code 1: MemoryError: too large" in " ".join((said.out + said.err).split())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--mixup", "0.1"], "mixup is varied in"),
        (["--fold", "1"], "every fold is trained"),
        (["--force"], "--force is of `dermedge train`"),
        (["--print-config"], "--print-config is of `dermedge train`"),
        (["--jobs", "0"], "--jobs is at least 1"),
    ],
    ids=str,
)
def test_flags_that_mean_nothing_here_are_refused(
    more: list[str], words: str, folder_of_photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(tmp_path, folder_of_photographs, *more) == 2
    assert words in " ".join(capsys.readouterr().err.split()) and not (tmp_path / "search").exists()


def test_a_slip_in_the_space_names_its_file(
    folder_of_photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(tmp_path, folder_of_photographs, space="[recipe]\nmixup = [0.0, 99.0]\n") == 2
    assert "space.toml: --mixup is between 0.0 and 10.0, got 99.0" in " ".join(capsys.readouterr().err.split())
