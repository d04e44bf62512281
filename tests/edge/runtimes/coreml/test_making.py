"""Tensors made of sizes, sorting, suppression and random values, held against NumPy and coremltools' own semantics."""

from __future__ import annotations

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from edge.errors import InputError
from tests.edge.runtimes.coreml._programs import run
from tests.edge.runtimes.coreml.test_shape import check_folded, counting, same

RNG = np.random.default_rng(7)


def test_filling():
    shape = np.array([2, 3], np.int32)

    def build(shape, like):
        return (
            mb.fill(shape=shape), mb.fill(shape=shape, value=2.5), mb.fill(shape=shape, value=np.int32(7)),
            mb.fill_like(ref_tensor=like), mb.fill_like(ref_tensor=like, value=np.int32(-4)),
            mb.cast(x=mb.fill(shape=shape, value=True), dtype="int32"),
        )  # fmt: skip

    found = run(build, {"shape": shape, "like": counting(4, 1)})
    full = np.full
    same(found, [full((2, 3), 0.0), full((2, 3), 2.5), full((2, 3), 7), full((4, 1), 0.0), full((4, 1), -4),
                 full((2, 3), 1)])  # fmt: skip
    assert [one.dtype.kind for one in found] == list("ffifii")
    with pytest.raises(InputError, match=r"fill.*cannot be made"):
        run(lambda shape: mb.fill(shape=shape), {"shape": shape * 2**20})


@pytest.mark.parametrize(
    ("start", "end", "step"), [(1, 9, 3), (9, 1, -3), (0, 10, 5), (5, 2, 1), (0.5, 2.0, 0.25), (0.1, 1.0, 0.3)]
)
def test_ranges(start, end, step):
    kind = np.int32 if isinstance(start, int) else np.float32
    given = {name: np.array([one], kind) for name, one in (("start", start), ("end", end), ("step", step))}

    def build(**given):
        return mb.range_1d(**{name: mb.squeeze(x=one) for name, one in given.items()})

    (found,) = run(lambda start, end, step: build(start=start, end=end, step=step), given)
    np.testing.assert_allclose(found, np.arange(start, end, step), rtol=1e-6)
    assert found.dtype == kind


def test_a_range_without_an_end_is_refused():
    given = {"step": np.float32([0])}
    with pytest.raises(InputError, match=r"range_1d.*steps of 0"):
        run(lambda step: mb.range_1d(start=0.0, end=3.0, step=mb.squeeze(x=step)), given)


def test_one_hot():
    indices = np.array([[1, 0, 3], [2, -1, 4]], np.int32)

    def build(i, size):
        return (
            mb.one_hot(indices=i, one_hot_vector_size=4), mb.one_hot(indices=i, one_hot_vector_size=4, axis=0),
            mb.one_hot(indices=i, one_hot_vector_size=4, axis=-2, on_value=0.5, off_value=-1.5),
            mb.one_hot(indices=i, one_hot_vector_size=mb.squeeze(x=size), on_value=3, off_value=9),
        )  # fmt: skip

    rows = np.zeros((2, 3, 4), int)
    for place in np.ndindex(2, 3):
        if 0 <= indices[place] < 4:  # a place outside of the vector marks nothing
            rows[(*place, indices[place])] = 1
    two = rows.transpose(0, 2, 1)
    expected = [rows, rows.transpose(2, 0, 1), np.where(two, 0.5, -1.5), np.where(rows, 3, 9)[..., :3]]
    same(run(build, {"i": indices, "size": np.array([3], np.int32)}), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_places_of_values_that_are_not_zero(dtype):
    x = RNG.integers(-1, 2, (3, 1, 5)).astype(dtype)
    (found,) = run(lambda x: mb.non_zero(x=x), {"x": x})
    np.testing.assert_array_equal(found, np.argwhere(x))
    (none,) = run(lambda x: mb.non_zero(x=x), {"x": np.zeros((2, 2), dtype)})
    assert none.shape == (0, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize("ios", [15, 16, 17])
def test_sorting_is_that_of_coremltools(dtype, ios):
    x = RNG.permutation(60).reshape(3, 4, 5).astype(dtype) - 30

    def build(x):
        return (
            mb.argsort(x=x), mb.argsort(x=x, axis=0, ascending=True), mb.argsort(x=x, axis=-2),
            *mb.topk(x=x), *mb.topk(x=x, k=3, axis=1), *mb.topk(x=x, k=2, axis=-3, ascending=True),
        )  # fmt: skip

    check_folded(build, x, ios)


def test_options_of_topk():
    x = np.float32([[3, 1, 2], [2, 3, 1]])

    def build(x):
        return (
            mb.topk(x=x, k=2, return_indices=False), mb.topk(x=x, k=2, sort=False, return_indices=False),
            mb.cast(x=mb.topk(x=x, k=1, output_indices_dtype="uint16")[1], dtype="int32"),
        )  # fmt: skip

    values, unordered, places = run(build, {"x": x}, ios=17)
    assert values.tolist() == [[3, 2], [3, 2]]
    assert np.sort(unordered).tolist() == [[2, 3], [2, 3]]
    assert places.tolist() == [[0], [1]]


def test_of_equal_values_the_first_comes_first():
    x = np.float32([2, 5, 5, 2, 5])
    found = run(lambda x: (mb.argsort(x=x), mb.argsort(x=x, ascending=True), mb.topk(x=x, k=2)[1]), {"x": x})
    assert [one.tolist() for one in found] == [[1, 2, 4, 0, 3], [0, 3, 1, 2, 4], [1, 2]]


def corners(box: np.ndarray) -> tuple[float, ...]:
    x, y, width, height = (float(one) for one in box)
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def iou(a: np.ndarray, b: np.ndarray) -> float:
    left, top, right, bottom = corners(a)
    left2, top2, right2, bottom2 = corners(b)
    shared = max(0.0, min(right, right2) - max(left, left2)) * max(0.0, min(bottom, bottom2) - max(top, top2))
    union = float(a[2] * a[3] + b[2] * b[3]) - shared
    return shared / union if union > 0 else 0.0


def expected_boxes(boxes, scores, iou_threshold, score_threshold, most, per_class):
    """Box by box, by falling score, each against all that stay."""
    stay: list[int] = []
    best, classes = scores.max(1), scores.argmax(1)
    for one in sorted(range(len(boxes)), key=lambda i: -best[i]):
        rivals = [other for other in stay if not per_class or classes[other] == classes[one]]
        if best[one] > score_threshold and all(iou(boxes[one], boxes[other]) <= iou_threshold for other in rivals):
            stay.append(one)
    return (stay or [int(best.argmax())])[:most]


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize(("iou_threshold", "score_threshold"), [(0.1, -1e9), (0.4, 0.3), (0.3, 1e9)])
def test_suppression(per_class, iou_threshold, score_threshold):
    boxes = RNG.uniform(5, 30, (2, 40, 4)).astype(np.float32)
    scores = RNG.normal(size=(2, 40, 3)).astype(np.float32)
    most = 12

    def build(boxes, scores):
        return mb.non_maximum_suppression(
            boxes=boxes,
            scores=scores,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            max_boxes=most,
            per_class_suppression=per_class,
        )

    found, rated, places, counts = run(build, {"boxes": boxes, "scores": scores})
    for image in range(2):
        stay = expected_boxes(boxes[image], scores[image], iou_threshold, score_threshold, most, per_class)
        count = len(stay)
        assert counts[image] == count
        assert places[image].tolist() == stay + [-1] * (most - count)
        np.testing.assert_array_equal(found[image, :count], boxes[image, stay])
        np.testing.assert_array_equal(rated[image, :count], scores[image, stay])
        assert not found[image, count:].any() and not rated[image, count:].any()


def test_suppression_of_ios_17_has_the_boxes_last():
    boxes = RNG.uniform(5, 30, (1, 4, 20)).astype(np.float32)
    scores = RNG.normal(size=(1, 2, 20)).astype(np.float32)

    def build(boxes, scores):
        return mb.non_maximum_suppression(boxes=boxes, scores=scores, iou_threshold=0.2, max_boxes=20)

    found, rated, places = run(build, {"boxes": boxes, "scores": scores}, ios=17)
    stay = expected_boxes(boxes[0].T, scores[0].T, 0.2, -np.inf, 20, False)
    assert 1 < len(stay) < 20
    assert places[0].tolist() == stay + [-1] * (20 - len(stay))
    np.testing.assert_array_equal(found[0, :, : len(stay)], boxes[0][:, stay])
    np.testing.assert_array_equal(rated[0, :, : len(stay)], scores[0][:, stay])


def test_random_values_have_their_distribution_and_a_seed_repeats_them():
    shape = np.array([100, 200], np.int32)

    def build(shape, weights):
        return (
            mb.random_normal(shape=shape, mean=3.0, stddev=2.0, seed=1), mb.random_normal(shape=shape, seed=1),
            mb.random_uniform(shape=shape, low=-2.0, high=6.0, seed=2), mb.random_bernoulli(shape=shape, prob=0.3),
            mb.random_categorical(x=weights, mode="probs", size=20000, seed=3),
            mb.random_categorical(x=weights, size=20000), mb.random_normal(shape=shape), mb.random_normal(shape=shape),
        )  # fmt: skip

    weights = np.float32([[0.1, 0.6, 0.3], [1.0, 0.0, 0.0]])
    normal, standard, uniform, coin, drawn, by_logit, one, other = run(build, {"shape": shape, "weights": weights})
    np.testing.assert_allclose(normal, 3 + 2 * standard, rtol=1e-5, atol=1e-5)
    assert abs(standard.mean()) < 0.03 and abs(standard.std() - 1) < 0.03
    assert uniform.min() >= -2 and uniform.max() < 6 and abs(uniform.mean() - 2) < 0.1
    assert set(np.unique(coin)) == {0, 1} and abs(coin.mean() - 0.3) < 0.03
    np.testing.assert_allclose(np.bincount(drawn[0].astype(int)) / 20000, weights[0], atol=0.02)
    assert not drawn[1].any()
    share = np.exp(weights[0]) / np.exp(weights[0]).sum()
    np.testing.assert_allclose(np.bincount(by_logit[0].astype(int)) / 20000, share, atol=0.02)
    assert not np.array_equal(one, other)


def test_made_values_of_half_precision():
    x = np.float32([[0.1, 1.0003, 1.0, -3]])

    def build(x):
        return mb.fill_like(ref_tensor=x, value=0.1), *mb.topk(x=x, k=2), mb.argsort(x=x)

    filled, values, places, order = run(build, {"x": x}, half=True)
    assert filled.tolist() == [[np.float16(0.1)] * 4]
    assert values.tolist() == [[1, 1]] and places.tolist() == [[1, 2]]  # equal once they are rounded
    assert order.tolist() == [[1, 2, 0, 3]]
