"""A .tflite says in Google's form what its manifest says, so that other people's tools open it and show its names."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convert._tflite.file import lower, read_metadata, unpack
from convert._tflite.model_metadata import with_facts
from convert._tflite.second_input import with_second_input
from edge.environments import folder_of, python_in
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from edge.manifest import Manifest, Mask, Output, Training
from edge.nine_questions import QUESTIONS
from edge.phones import mediapipe, netron
from edge.questionnaire import length_of
from edge.runtimes.foreign.metadata import stated_in
from edge.runtimes.litert import LiteRT
from tests._phones import needs_mediapipe, needs_netron
from tests.edge._manifests import manifest

SIDE, CLASSES = 32, len(PAD_UFES_20)
SOURCE = "photographs of somebody, CC BY 4.0"


class Network(nn.Module):
    """Probabilities and, if it has one, a mask, of float32 (1, S, S, 3)."""

    def __init__(self, *, mask: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, CLASSES)
        self.mask = nn.Conv2d(8, 1, 1) if mask else None

    def forward(self, picture):
        features = torch.relu(self.stem(picture.permute(0, 3, 1, 2) / 255))
        answer = torch.softmax(9 * self.head(features.mean((2, 3))), 1)
        return (answer, torch.sigmoid(self.mask(features)).permute(0, 2, 3, 1)) if self.mask else answer


def facts(**changes) -> Manifest:
    return manifest(
        side=SIDE, labels=PAD_UFES_20, output=Output("softmax of logits / temperature", 1.3, 0.5),
        training=Training((), SOURCE), versions={"dermedge": "7.8"}, **changes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def write(tmp_path_factory) -> Callable[..., Path]:
    """A file of that kind: `alone`, with a `mask`, or with `answers`; each lowered once."""
    folder, lowered = tmp_path_factory.mktemp("described"), {}

    def written(kind: str) -> Path:
        mask = kind == "mask"
        if mask not in lowered:
            lowered[mask] = lower(Network(mask=mask), torch.zeros(1, SIDE, SIDE, 3)).content
        content, asked = lowered[mask], QUESTIONS if kind == "answers" else ()
        if asked:
            content = with_second_input(content, np.zeros((CLASSES, length_of(asked)), np.float32))
        seen = Mask("probability that a pixel is lesion", SIDE, 0.5) if mask else None
        about = facts(mask=seen, questions=asked)
        path = folder / f"{kind}.tflite"
        path.write_bytes(with_facts(content, about, "fp32", answers=bool(asked)))
        return path

    return written


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)


def test_labels_are_read_from_the_file_alone_without_tensorflow(write) -> None:
    path = write("alone")
    with zipfile.ZipFile(path) as archive:
        kinds = {entry.compress_type for entry in archive.infolist()}
        codes, names, card = (archive.read(name).decode() for name in ("labels.txt", "labels_en.txt", "card.txt"))
        assert archive.testzip() is None
    assert kinds == {zipfile.ZIP_STORED}  # MediaPipe maps them
    assert codes.splitlines() == [label.code for label in PAD_UFES_20]
    assert names.splitlines() == [label.name for label in PAD_UFES_20]
    assert SOURCE in card and "MEL: melanoma; malignant: yes" in card and "Not a medical device" in card


def test_pixels_go_in_as_they_are_also_by_googles_metadata(write) -> None:
    mean, std, source = stated_in(unpack(write("alone").read_bytes()))
    assert (mean, std) == ((0.0,) * 3, (1.0,) * 3) and "TFLITE_METADATA" in source


@pytest.mark.parametrize("kind", ["alone", "mask", "answers"])
def test_the_network_answers_as_before(write, kind: str, images: np.ndarray) -> None:
    described = LiteRT(write(kind)).run(images)
    with torch.no_grad():
        wanted = Network(mask=kind == "mask").eval()(torch.tensor(images[:1], dtype=torch.float32))
    answer = wanted[0] if kind == "mask" else wanted
    np.testing.assert_allclose(described.probabilities[:1], answer.numpy(), atol=1e-6)
    assert read_metadata(write(kind).read_bytes())["labels"][0]["code"] == "ACK"


def test_the_same_conversion_gives_the_same_bytes(write) -> None:
    first, again = write("alone").read_bytes(), write("alone").read_bytes()
    assert first == again
    twice = with_facts(first, facts(), "fp32")  # of a file that has them already: replaced, not doubled
    assert twice == first


@needs_netron
@pytest.mark.parametrize("kind", ["alone", "mask", "answers"])
def test_netron_shows_what_the_file_is_and_what_goes_in_and_out(write, kind: str) -> None:
    seen = netron.shown(write(kind))
    assert seen.format.startswith("TensorFlow Lite") and "Conv2D" in seen.operators
    assert (seen.name, seen.metadata["author"]) == (facts().model, "dermedge")
    assert "Not a medical device" in seen.description and SOURCE in seen.metadata["license"]
    wanted = {"image": f"float32[1,{SIDE},{SIDE},3]", "probabilities": f"float32[1,{CLASSES}]"}
    wanted |= {"mask": f"float32[1,{SIDE},{SIDE},1]"} if kind == "mask" else {}
    wanted |= {"answers": f"float32[1,{length_of(QUESTIONS)}]"} if kind == "answers" else {}
    ends = (*seen.inputs, *seen.outputs)
    assert {end.name: end.type for end in ends} == wanted and all(end.description for end in ends)


@needs_netron
def test_netron_refuses_what_is_no_model_in_its_words(tmp_path) -> None:
    (tmp_path / "x.tflite").write_bytes(b"nothing" * 20)
    with pytest.raises(InputError, match=r"x\.tflite: Netron does not open it: .*Error"):
        netron.shown(tmp_path / "x.tflite")


@needs_mediapipe
@pytest.mark.parametrize("kind", ["alone", "mask"])
def test_mediapipe_classifies_with_class_names(write, kind: str, images: np.ndarray) -> None:
    path = write(kind)
    answer = mediapipe.classify(path, images)
    assert answer.codes == tuple(label.code for label in PAD_UFES_20)
    assert answer.names == tuple(label.name for label in PAD_UFES_20)
    expected = LiteRT(path).run(images).probabilities
    assert np.ptp(expected, axis=0).max() > 1e-3  # the pictures make a difference
    np.testing.assert_allclose(answer.probabilities, expected, atol=1e-6)


@needs_mediapipe
def test_mediapipe_segments_with_a_mask_file(write, images: np.ndarray) -> None:
    masks = LiteRT(write("mask")).run(images).masks
    np.testing.assert_allclose(mediapipe.segment(write("mask"), images), masks, atol=1e-6)


@needs_mediapipe
def test_mediapipe_refuses_a_second_input_and_a_file_without_metadata_in_its_words(write, images, tmp_path) -> None:
    with pytest.raises(InputError, match="MediaPipe does not open it"):
        mediapipe.classify(write("answers"), images)
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(lower(Network(), torch.zeros(1, SIDE, SIDE, 3)).content)
    with pytest.raises(InputError, match="NormalizationOptions metadata"):
        mediapipe.classify(bare, images)


@needs_mediapipe
@pytest.mark.parametrize("kind", ["mask", "answers"])
def test_googles_own_reader_finds_every_field(write, kind: str, tmp_path: Path) -> None:
    """With the schema's Python code in MediaPipe's wheel, which shares nothing with ours."""
    model = unpack(write(kind).read_bytes())
    buffer = next(bytes(model.buffers[e.buffer].data) for e in model.metadata if e.name == b"TFLITE_METADATA")
    (tmp_path / "metadata").write_bytes(buffer)
    program = """
import json, sys
from mediapipe.tasks.metadata import metadata_schema_py_generated as schema
root = schema.ModelMetadataT.InitFromPackedBuf(open(sys.argv[1], "rb").read(), 0)
def plain(value):
    if isinstance(value, bytes): return value.decode()
    if isinstance(value, (int, float, str, type(None))): return value
    if hasattr(value, "tolist"): return value.tolist()
    return [plain(v) for v in value] if isinstance(value, list) else {k: plain(v) for k, v in vars(value).items()}
print(json.dumps(plain(root)))
"""
    command = [*python_in(folder_of(mediapipe.wanted())), "-c", program, str(tmp_path / "metadata")]
    root = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    graph = root["subgraphMetadata"][0]
    image, *others = graph["inputTensorMetadata"]
    answer, *masks = graph["outputTensorMetadata"]
    assert (root["name"], root["author"], root["version"]) == ("net", "dermedge", "7.8")
    assert SOURCE in root["license"] and "Not a medical device" in root["description"]
    assert image["content"]["contentProperties"] == {"colorSpace": 1, "defaultSize": {"width": SIDE, "height": SIDE}}
    assert image["processUnits"][0]["options"] == {"mean": [0.0], "std": [1.0]}
    assert (image["name"], image["stats"]) == ("image", {"max": [255.0], "min": [0.0]})
    labels = [(f["name"], f["type"], f["locale"]) for f in answer["associatedFiles"]]
    assert labels == [("labels.txt", 2, None), ("labels_en.txt", 2, "en")]
    assert "temperature 1.3 is applied inside" in answer["description"]
    assert [t["name"] for t in others] == (["answers"] if kind == "answers" else [])
    assert [t["name"] for t in masks] == (["mask"] if kind == "mask" else [])
    assert not masks or masks[0]["content"]["contentProperties"]["colorSpace"] == 2


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is missing: apt-get install nodejs")
def test_the_pages_javascript_reads_the_labels(write, tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "tflite_metadata.md").read_text()
    code = page.partition("```js\n")[2].partition("```")[0]
    program = tmp_path / "labels.mjs"
    program.write_text(f"import {{ readFileSync }} from 'fs';\n{code}\nconst file = readFileSync(process.argv[2]);\n"
                       "console.log(JSON.stringify(labelsOf(new Uint8Array(file).buffer)));\n")  # fmt: skip
    said = subprocess.run(["node", program, write("alone")], capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [label.code for label in PAD_UFES_20]
