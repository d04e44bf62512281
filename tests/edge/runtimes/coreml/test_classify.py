"""Classifier packages as coremltools saves them: pictures in, the label and every label's probability out."""

from __future__ import annotations

from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from PIL import Image

from edge.errors import InputError
from edge.runtimes import coreml

# coremltools speaks to itself in names that it calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:coremltools")
HEIGHT, WIDTH = 8, 10
SCALE, BIAS = 1 / 64, (-1.0, -1.5, -2.0)
COLOURS = {"RGB": (3, "RGB"), "BGR": (3, "RGB"), "GRAYSCALE": (1, "L")}  # channels, PIL mode


class Small(torch.nn.Module):
    """Tells channels and positions apart, so that a swap of either changes its answer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        torch.manual_seed(channels)
        self.conv = torch.nn.Conv2d(channels, 4, 3, stride=2)
        self.linear = torch.nn.Linear(4 * 3 * 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.linear(torch.relu(self.conv(x)).flatten(1)), 1)


@pytest.fixture(scope="module")
def networks():
    found = {}
    for channels in (1, 3):
        network = Small(channels).eval()
        exported = torch.export.export(network, (torch.rand(1, channels, HEIGHT, WIDTH),)).run_decompositions({})
        found[channels] = network, exported
    return found


def saved(exported, colours: str, labels: list, folder: Path, **more) -> Path:
    channels = COLOURS[colours][0]
    image = ct.ImageType(
        name="image",
        shape=(1, channels, HEIGHT, WIDTH),
        scale=SCALE,
        bias=list(BIAS) if channels == 3 else BIAS[0],
        color_layout=ct.colorlayout[colours],
    )
    model = ct.convert(
        exported,
        inputs=[image],
        classifier_config=ct.ClassifierConfig(labels, **more),
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(folder / "classifier.mlpackage"))
    return folder / "classifier.mlpackage"


def picture(mode: str, seed: int = 0) -> Image.Image:
    shape = (HEIGHT, WIDTH) if mode == "L" else (HEIGHT, WIDTH, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def expected(network, colours: str, image: Image.Image) -> np.ndarray:
    """By torch, from the pixels: what scale and bias mean, channel by channel in the package's order."""
    pixels = torch.from_numpy(np.array(image)).float().reshape(HEIGHT, WIDTH, -1)
    pixels = pixels.flip(-1) if colours == "BGR" else pixels
    channels = [pixels[..., c] * SCALE + bias for c, bias in zip(range(pixels.shape[-1]), BIAS, strict=False)]
    with torch.no_grad():
        return network(torch.stack(channels)[None])[0].numpy()


@pytest.mark.parametrize("colours", COLOURS)
def test_the_label_and_all_probabilities(networks, colours, tmp_path):
    channels, mode = COLOURS[colours]
    network, exported = networks[channels]
    labels = ["nevus", "melanoma", "other"]
    model = coreml.load(saved(exported, colours, labels, tmp_path))
    named = set()
    for seed in range(8):
        image = picture(mode, seed)
        answer = model.predict({"image": image})
        wanted = expected(network, colours, image)
        assert set(answer) == {"classLabel", "classLabel_probs"}
        assert answer["classLabel"] == labels[int(wanted.argmax())]
        assert set(answer["classLabel_probs"]) == set(labels)
        assert all(type(value) is float for value in answer["classLabel_probs"].values())
        np.testing.assert_allclose([answer["classLabel_probs"][label] for label in labels], wanted, atol=1e-5)
        named.add(answer["classLabel"])
    assert len(named) > 1  # the pictures differ in their class, or a fixed label would pass


def test_labels_can_be_numbers_and_outputs_have_names_of_their_own(networks, tmp_path):
    network, exported = networks[1]
    model = coreml.load(saved(exported, "GRAYSCALE", [10, 20, 30], tmp_path, predicted_feature_name="kind"))
    image = picture("L")
    answer = model.predict({"image": image})
    wanted = expected(network, "GRAYSCALE", image)
    assert answer["kind"] == [10, 20, 30][int(wanted.argmax())]
    assert type(answer["kind"]) is int
    assert list(answer["kind_probs"]) == [10, 20, 30]
    np.testing.assert_allclose(list(answer["kind_probs"].values()), wanted, atol=1e-5)


def test_a_picture_of_another_kind_is_refused(networks, tmp_path):
    model = coreml.load(saved(networks[3][1], "RGB", ["a", "b", "c"], tmp_path))
    with pytest.raises(InputError, match="RGB"):
        model.predict({"image": picture("L")})
    with pytest.raises(InputError, match="10x8"):
        model.predict({"image": picture("RGB").resize((HEIGHT, WIDTH))})
    with pytest.raises(InputError, match="PIL"):
        model.predict({"image": np.zeros((1, 3, HEIGHT, WIDTH), np.float32)})
