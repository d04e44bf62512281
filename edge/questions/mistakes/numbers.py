"""Right pixels, handed over as wrong numbers: bytes in another order, or scaled where the graph scales by itself."""

from __future__ import annotations

import numpy as np

from edge.questions.mistakes.scene import Numbers, Scene

IMAGENET: tuple[Numbers, Numbers] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # torchvision's mean and std
HALVES: tuple[Numbers, Numbers] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def bgr(scene: Scene) -> np.ndarray:
    return np.ascontiguousarray(scene.right[:, :, ::-1])


def planes(scene: Scene) -> np.ndarray:
    """Three planes, one after the other, read as pixels of three bytes."""
    return np.ascontiguousarray(scene.right.transpose(2, 0, 1)).reshape(scene.right.shape)


def interleaved(scene: Scene) -> np.ndarray:
    """Pixels of three bytes, read as three planes."""
    side = scene.target.side
    return np.ascontiguousarray(scene.right.reshape(3, side, side).transpose(1, 2, 0))


def signed(scene: Scene) -> np.ndarray:
    """Bytes above 127 as negative numbers."""
    return scene.right.view(np.int8).astype(np.float32)


def unit(scene: Scene) -> np.ndarray:
    return scene.right.astype(np.float32) / 255


def symmetric(scene: Scene) -> np.ndarray:
    return scene.right.astype(np.float32) / 127.5 - 1


def normalised(scene: Scene) -> np.ndarray:
    """ImageNet's mean and std taken off before the graph does its own."""
    mean, std = (np.array(numbers, np.float32) for numbers in IMAGENET)
    return (unit(scene) - mean) / std


def other_mean_std(scene: Scene) -> np.ndarray:
    """What the graph would have to be given so that its network sees (x / 255 - mean) / std of another model.

    The graph computes (input / 255 - own mean) / own std.
    """
    mean, std = (np.array(numbers, np.float32) for numbers in strangers(scene.target.mean, scene.target.std))
    own_mean, own_std = (np.array(numbers, np.float32) for numbers in (scene.target.mean, scene.target.std))
    return (((unit(scene) - mean) / std * own_std + own_mean) * 255).astype(np.float32)


def strangers(mean: Numbers | None, std: Numbers | None) -> tuple[Numbers, Numbers]:
    """ImageNet's mean and std; for a model that has these, halves."""
    own = mean is not None and std is not None and np.allclose((mean, std), IMAGENET, atol=0.01)
    return HALVES if own else IMAGENET
