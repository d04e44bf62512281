"""Each gate passes what it should, is red once when broken, and says so when it saw too little."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from sklearn.metrics import recall_score

from edge.errors import InputError
from edge.metrics.gates import GATES, FileParity, Observations, Verdict, judge, overall

CODES = ("ACK", "BCC", "MEL", "NEV", "SCC", "SEK")


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def observations(images: int = 800, *, labelled: bool = True, confident: bool = False) -> Observations:
    rng = np.random.default_rng(7)
    labels = np.arange(images) % 6
    reference = softmax(rng.normal(0, 0.5, (images, 6)) + (6 if confident else 2) * np.eye(6)[labels])
    return Observations(
        image_ids=tuple(f"image {i}" for i in range(images)),
        groups=tuple(f"patient {i}" for i in range(images)),
        domains=tuple("isic" if i % 4 == 0 else "pad_ufes_20" for i in range(images)),
        labels=labels if labelled else np.full(images, -1),
        class_codes=CODES,
        class_names=CODES,
        malignant=(False, True, True, False, True, False),
        reference=reference,
    )


def noisy(reference: np.ndarray, decibels: float) -> np.ndarray:
    """The same answers with white noise on the logits, this much below them on every image."""
    logits = np.log(reference) - np.log(reference).mean(axis=1, keepdims=True)
    noise = np.random.default_rng(8).normal(size=logits.shape)
    noise -= noise.mean(axis=1, keepdims=True)
    size = np.linalg.norm(logits, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    return softmax(logits + noise * size * 10 ** (-decibels / 20))


def check(found: FileParity, name: str):
    return next(c for c in found.checks if c.name.startswith(name))


def verdicts(found: FileParity) -> dict[str, str]:
    return {" ".join(c.name.split()[:2]): c.verdict.value for c in found.checks}


@pytest.mark.parametrize("recipe", GATES)
def test_the_same_answers_pass_every_gate(recipe):
    seen = observations(confident=True)
    found = judge(recipe, seen, seen.reference)
    assert found.verdict == (Verdict.REPORTED if recipe in {"palette4", "palette6"} else Verdict.PASS)
    assert found.images == 800 and found.statistics is not None and found.statistics.identical_images == 800


@pytest.mark.parametrize(
    ("recipe", "good", "bad"), [("fp32", 100, 60), ("fp16", 57, 53), ("int8", 45, 20), ("palette8", 45, 20)]
)
def test_noise_passes_below_the_limit_and_fails_above(recipe, good, bad):
    seen = observations(confident=True)
    assert judge(recipe, seen, noisy(seen.reference, good)).verdict is Verdict.PASS
    assert judge(recipe, seen, noisy(seen.reference, bad)).verdict is Verdict.FAIL


def test_measured_sqnr_is_the_noise_that_was_added():
    seen = observations()
    found = judge("fp16", seen, noisy(seen.reference, 56.0)).statistics
    assert found is not None and found.sqnr_db.value == pytest.approx(56.0, abs=1e-6)


def test_fp32_limit_scales_with_the_largest_logit():
    seen = observations(50)
    logits = np.log(seen.reference) - np.log(seen.reference).mean(axis=1, keepdims=True)
    push = np.zeros_like(logits)
    push[:, :2] = (0.9e-4, -0.9e-4)
    push *= np.maximum(1, np.abs(logits).max(axis=1, keepdims=True))
    assert judge("fp32", seen, softmax(logits + push)).verdict is Verdict.PASS
    found = judge("fp32", seen, softmax(logits + push * 1.2))
    assert check(found, "Largest").verdict is Verdict.FAIL
    assert check(found, "Largest").value == pytest.approx(1.08e-4, rel=1e-4)


def test_swapped_columns_are_red():
    seen = observations()
    found = judge("int8", seen, seen.reference[:, [0, 2, 1, 3, 4, 5]])
    assert found.verdict is Verdict.FAIL
    assert check(found, "Top-1").verdict is Verdict.FAIL and check(found, "Drop").verdict is Verdict.FAIL


def test_one_confident_flip_is_red_among_eight_hundred():
    seen = observations(confident=True)
    candidate = seen.reference.copy()
    candidate[5] = candidate[5, ::-1]
    found = judge("int8-weights", seen, candidate)
    assert verdicts(found) == {
        "Answers are": "pass", "Median SQNR": "pass", "Top-1 agreement": "pass", "Top-1 flips": "fail",
        "Drop of": "pass",
    }  # fmt: skip
    assert check(found, "Top-1 flips").value == 1


def test_a_loss_of_one_class_is_red_where_agreement_alone_would_not_fail():
    """Half of a rare class is lost without a wide margin: 0.6 % of the images, 8 points of balanced accuracy."""
    seen = observations(1000)
    labels = np.where(np.arange(1000) < 12, 2, np.arange(1000) % 2)
    reference = softmax(np.eye(6)[labels] * 4.0)
    reference[:6] = (0.03, 0.03, 0.46, 0.42, 0.03, 0.03)
    candidate = reference.copy()
    candidate[:6] = (0.03, 0.03, 0.43, 0.45, 0.03, 0.03)
    found = judge("int8", dataclasses.replace(seen, labels=labels, reference=reference), candidate)
    by_name = verdicts(found)
    assert by_name["Top-1 agreement"] != "fail" and by_name["Top-1 flips"] == "pass" and by_name["Drop of"] == "fail"
    assert found.verdict is Verdict.FAIL
    assert check(found, "Drop").value == pytest.approx(1 / 6)


@pytest.mark.parametrize("recipe", GATES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 3.0, -1.0])
def test_an_answer_that_is_no_probability_is_red(recipe, bad):
    seen = observations(20)
    candidate = seen.reference.copy()
    candidate[3, 1] = bad
    found = judge(recipe, seen, candidate)
    assert found.verdict is Verdict.FAIL and found.statistics is None
    assert found.checks[0].verdict is Verdict.FAIL and "'image 3'" in found.checks[0].note


@pytest.mark.parametrize(
    "candidate",
    [np.zeros((20, 5)), np.zeros((19, 6)), np.zeros(6), np.zeros((0, 6)), [["a"] * 6] * 20, None, [[1], [1, 2]]],
)
def test_an_answer_of_another_shape_is_red(candidate):
    found = judge("int8", observations(20), candidate)
    assert found.verdict is Verdict.FAIL and found.checks[0].note


def test_logits_instead_of_probabilities_are_red():
    seen = observations(20)
    assert judge("palette4", seen, np.log(seen.reference)).verdict is Verdict.FAIL


def test_ten_images_prove_nothing_and_say_how_many_would():
    seen = observations(10, confident=True)
    found = judge("int8", seen, noisy(seen.reference, 50))
    assert found.verdict is Verdict.INCONCLUSIVE
    agreement, drop = check(found, "Top-1"), check(found, "Drop")
    assert agreement.verdict is Verdict.INCONCLUSIVE and 183 <= agreement.patients_needed < 250
    assert drop.verdict is Verdict.INCONCLUSIVE and 250 < drop.patients_needed < 450
    assert check(found, "Top-1 flips").verdict is Verdict.PASS


def test_five_images_have_no_interval_of_the_median():
    seen = observations(5)
    found = judge("fp16", seen, noisy(seen.reference, 70))
    assert found.verdict is Verdict.INCONCLUSIVE and check(found, "Median").patients_needed == 6


def test_a_straddling_median_is_inconclusive():
    seen = observations(40)
    mixed = np.where(np.arange(40)[:, None] % 2 == 0, noisy(seen.reference, 50), noisy(seen.reference, 60))
    assert judge("fp16", seen, mixed).verdict is Verdict.INCONCLUSIVE


def test_a_model_in_doubt_about_everything_leaves_the_margin_open():
    seen = dataclasses.replace(observations(), reference=softmax(np.random.default_rng(0).normal(0, 0.01, (800, 6))))
    found = judge("int8", seen, seen.reference)
    assert check(found, "Top-1 flips").verdict is Verdict.INCONCLUSIVE


def test_without_labels_accuracy_is_not_judged_and_nothing_fails():
    seen = observations(confident=True, labelled=False)
    found = judge("int8", seen, noisy(seen.reference, 45))
    assert found.verdict is Verdict.PASS
    assert check(found, "Drop").verdict is Verdict.NOT_JUDGED and check(found, "Drop").note == "no labels"
    assert found.statistics is not None and found.statistics.labelled is None


def test_int8_must_reach_eighty_per_cent_of_the_macs():
    seen = observations(confident=True)
    assert judge("int8", seen, seen.reference, mac_share_int8=0.8).verdict is Verdict.PASS
    found = judge("int8", seen, seen.reference, mac_share_int8=0.79)
    assert found.verdict is Verdict.FAIL and check(found, "MACs on 8-bit activations").value == 0.79
    assert len(judge("int8", seen, seen.reference).checks) == len(found.checks) - 1
    assert judge("fp16", seen, seen.reference, mac_share_int8=0.0).verdict is Verdict.PASS


def test_small_palettes_are_reported_however_bad():
    seen = observations()
    found = judge("palette4", seen, noisy(seen.reference, 3))
    assert found.verdict is Verdict.REPORTED and found.statistics is not None


def test_domains_and_classes_are_visible_apart():
    seen = observations()
    candidate = np.where(np.array(seen.domains)[:, None] == "isic", noisy(seen.reference, 10), seen.reference)
    found = judge("int8", seen, candidate).statistics
    assert found is not None and found.labelled is not None
    isic, pad = found.domains
    assert (isic.name, isic.images, pad.name, pad.images) == ("isic", 200, "pad_ufes_20", 600)
    assert isic.sqnr_db == pytest.approx(10, abs=1e-6) and pad.sqnr_db == math.inf and pad.agreement.value == 1
    here = np.array(seen.domains) == "isic"
    answers = candidate[here].argmax(axis=1)
    expected = recall_score(seen.labels[here], answers, labels=np.unique(seen.labels[here]), average="macro")
    assert isic.balanced_accuracy_after == pytest.approx(expected)
    assert [c.code for c in found.labelled.classes] == ["BCC", "MEL", "SCC", "ACK", "NEV", "SEK"]


def test_the_worst_verdict_wins():
    assert overall([Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL]) is Verdict.FAIL
    assert overall([Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.REPORTED]) is Verdict.INCONCLUSIVE
    assert overall([Verdict.PASS, Verdict.REPORTED, Verdict.NOT_JUDGED]) is Verdict.PASS
    assert overall([Verdict.REPORTED]) is Verdict.REPORTED


def test_an_unknown_recipe_lists_the_known():
    seen = observations(2)
    with pytest.raises(InputError, match="'int3'; known: fp32, fp16"):
        judge("int3", seen, seen.reference)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.full(20, 6)}, "0 to 5.*got 6 to 6"),
        ({"labels": np.full(20, -2)}, "got -2"),
        ({"labels": np.zeros(20)}, "integer labels.*float64"),
        ({"labels": np.zeros(19, int)}, r"\(19,\)"),
        ({"groups": ("p",) * 19}, "expected 20 patients, got 19"),
        ({"malignant": (True,) * 5}, "expected 6 malignant flags, got 5"),
        ({"image_ids": ("a",) * 20}, "'a' 20 times"),
        ({"image_ids": ()}, "got 0 images"),
        ({"reference": np.zeros((20, 6))}, "not summing to 1 on 20 of 20"),
        ({"reference": np.full((20, 6), math.nan)}, "NaN or infinite"),
        ({"reference": np.zeros((20, 7))}, r"got \(20, 7\)"),
    ],
)
def test_observations_refuse_what_does_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(observations(20), **change)
