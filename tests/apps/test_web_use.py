"""The page for whoever uses it: camera and its refusal, retake, masks, keyboard, screen readers, small screens."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import dermedge
from edge import artifact
from edge.bundles import page
from edge.files import sha256, size
from edge.labels import PAD_UFES_20
from edge.manifest import Output
from edge.phones.chromium import Chromium
from edge.phones.site import Site
from edge.questionnaire import YES_NO, Question, in_order
from edge.runtimes.litert import LiteRT
from tests._phones import needs_browser
from tests.apps._axe import rules
from tests.apps._drawn import SIDE, lesion, painted
from tests.apps._page import opened, press, probabilities, text_of, until
from tests.apps._pictures import keep
from tests.edge._manifests import entry, manifest

NO_CAMERA = ["--use-fake-device-for-media-stream", "--deny-permission-prompts"]
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a mask and with thresholds that send a blurred or dark picture back."""
    folder = tmp_path_factory.mktemp("masked")
    painted(folder)
    return folder


@pytest.fixture(scope="module")
def site(bundle: Path) -> Iterator[Site]:
    served = page.served(bundle)
    yield served
    served.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    started = Chromium(*CAMERA, "--lang=en-GB", patience_s=180)
    yield started
    started.close()


def chosen(chromium: Chromium, file: Path) -> None:
    chromium.evaluate("document.getElementById('result').hidden = true")
    chromium.choose("#file", file)
    until(chromium, "!document.getElementById('result').hidden")


@needs_browser
def test_the_mask_lies_over_the_square(chromium: Chromium, site: Site, bundle: Path) -> None:
    opened(chromium, site)
    chosen(chromium, bundle / "self_test_0.png")
    pixels = np.asarray(Image.open(bundle / "self_test_0.png")).astype(int)
    masks = LiteRT(bundle / "painted-fp32.tflite").run(pixels[None].astype(np.uint8)).masks
    assert masks is not None
    inside = masks.reshape(SIDE, SIDE) >= 0.5
    assert 0.05 < inside.mean() < 0.5
    shown = chromium.evaluate(
        f"[...document.getElementById('square').getContext('2d').getImageData(0, 0, {SIDE}, {SIDE}).data]"
    )
    shown = np.array(shown).reshape(SIDE, SIDE, 4)[..., :3]
    assert ((shown[..., 2] == 255) == (inside | (pixels[..., 2] == 255))).all()
    assert (shown[~inside] == pixels[~inside]).all()


@needs_browser
def test_a_picture_is_sent_back_with_the_reason(chromium: Chromium, site: Site, bundle: Path, tmp_path: Path) -> None:
    opened(chromium, site)
    for name, colour, words in (("dark", (9, 6, 5), "too dark"), ("white", (255, 255, 255), "too bright")):
        Image.new("RGB", (80, 60), colour).save(tmp_path / f"{name}.png")
        chosen(chromium, tmp_path / f"{name}.png")
        assert text_of(chromium, "#outcome").startswith(f"Please take another picture: {words}")
        for part in ("ranked", "meaning", "effects"):  # nothing is said of such a picture
            assert chromium.evaluate(f"document.getElementById('{part}').hidden"), part
    chosen(chromium, bundle / "self_test_0.png")
    assert not chromium.evaluate("document.getElementById('meaning').hidden")
    assert chromium.evaluate("document.getElementById('outcome').dataset.outcome") in {"class", "uncertain"}
    assert len(probabilities(chromium)) == len(PAD_UFES_20)


@needs_browser
def test_no_mask_lies_over_a_picture_that_is_sent_back(chromium: Chromium, site: Site, tmp_path: Path) -> None:
    Image.new("RGB", (80, 60), (9, 6, 5)).save(tmp_path / "dark.png")
    opened(chromium, site)
    chromium.evaluate(
        "import('/model.js').then(({Model}) => { const run = Model.prototype.run; "
        "Model.prototype.run = async function (...of) { "
        "const said = await run.apply(this, of); return {...said, mask: said.mask.fill(1)}; }; })"
    )
    chosen(chromium, tmp_path / "dark.png")
    shown = f"document.getElementById('square').getContext('2d').getImageData(0, 0, {SIDE}, {SIDE}).data"
    assert chromium.evaluate(f"[...{shown}]") == [9, 6, 5, 255] * SIDE**2


def nothing_shown(chromium: Chromium, words: str) -> None:
    """The status says why, and neither an answer nor a picture is on the screen."""
    until(chromium, f"document.getElementById('status').innerText.includes({words!r})")
    for name in ("result", "square"):
        assert chromium.evaluate(f"document.getElementById('{name}').hidden"), name


@needs_browser
def test_a_refused_photograph_leaves_no_earlier_answer(
    chromium: Chromium, site: Site, bundle: Path, tmp_path: Path
) -> None:
    opened(chromium, site)
    chosen(chromium, bundle / "self_test_0.png")
    Image.new("RGBA", (80, 60), (200, 150, 130, 100)).save(tmp_path / "translucent.png")
    chromium.choose("#file", tmp_path / "translucent.png")
    nothing_shown(chromium, "transparent in places")
    chromium.evaluate("document.getElementById('language').dispatchEvent(new Event('change'))")  # asks for an answer
    until(chromium, "document.getElementById('status').innerText.startsWith('Ready')")
    assert chromium.evaluate("document.getElementById('result').hidden")
    chosen(chromium, bundle / "self_test_0.png")
    assert text_of(chromium, "#status").startswith("Ready")


@needs_browser
@pytest.mark.parametrize("thresholds", [True, False])
def test_numbers_that_are_no_probabilities_are_never_shown(
    chromium: Chromium, bundle: Path, tmp_path: Path, thresholds: bool
) -> None:
    """With thresholds and without, and also where an answer was shown before; the square comes with an answer only."""
    facts = artifact.read(bundle)
    shutil.copytree(bundle, tmp_path / "model")
    shutil.copy2(bundle / "self_test_0.png", tmp_path / "other.png")  # of one file chosen twice a page hears once
    if not thresholds:
        artifact.write(tmp_path / "model", replace(facts, decision=None, output=Output("softmax", 1.0)))
    served = page.served(tmp_path / "model")
    try:
        opened(chromium, served)
        chosen(chromium, bundle / "self_test_0.png")
        chromium.evaluate(
            "import('/model.js').then(({Model}) => { Model.prototype.run = async function () { "
            "return {probabilities: this.codes.map(() => NaN), mask: null}; }; })"
        )
        chromium.choose("#file", tmp_path / "other.png")
        nothing_shown(chromium, "no probabilities")
    finally:
        served.close()


@needs_browser
def test_questions_of_any_name_are_answered_and_only_those(chromium: Chromium, tmp_path: Path) -> None:
    """Ids that a form, an object or a list has something of its own under."""
    from convert._tflite.file import float_model
    from convert._tflite.second_input import with_second_input

    names = ("length", "constructor", "__proto__", "0", "append", "replaceChildren")
    questions = in_order(Question(name, {"en": f"Is it {name}?"}, YES_NO, 0, 2) for name in names)
    torch.manual_seed(0)
    mean, std = (0.5,) * 3, (0.25,) * 3
    plain = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)).eval()
    checkpoint = dermedge.wrap(plain, ["ACK", "BCC"], side=SIDE, mean=mean, std=std, name="odd")
    rows = np.array([[0.25 * place for place in range(12)], [0.0] * 12], np.float32)
    path = tmp_path / "odd-answers-fp32.tflite"
    path.write_bytes(with_second_input(float_model(checkpoint).content, rows))
    files = (entry(path.name, recipe="fp32", answers=True, sha256=sha256(path), bytes=size(path)),)
    log_odds = tuple(tuple(map(float, row)) for row in rows)
    artifact.write(tmp_path, manifest(side=SIDE, files=files, questions=questions, log_odds=log_odds))
    lesion(tmp_path / "lesion.png", SIDE)
    served = page.served(tmp_path)
    try:
        opened(chromium, served)
        chosen(chromium, tmp_path / "lesion.png")
        assert chromium.evaluate("document.querySelectorAll('#effects li').length") == 0
        for place, name in enumerate(names):
            field = f"document.querySelector('[data-question=\"{name}\"]')"
            chromium.evaluate(f"{field}.value = 'false'; {field}.dispatchEvent(new Event('change', {{bubbles: true}}))")
            until(chromium, f"document.querySelectorAll('#effects li').length === {place + 1}")
        pixels = np.asarray(Image.open(tmp_path / "lesion.png"))[None]
        vector = np.array([[0.0, 1.0] * len(names)], np.float32)
        expected = LiteRT(path).run(pixels, vector).probabilities[0]
        told = probabilities(chromium)
        np.testing.assert_allclose([told["ACK"], told["BCC"]], expected, atol=1e-6)
    finally:
        served.close()


@needs_browser
def test_the_open_camera_hints_and_gives_a_picture(chromium: Chromium, site: Site) -> None:
    opened(chromium, site)
    chromium.evaluate("document.getElementById('camera').click()")
    until(chromium, "document.getElementById('hint').innerText")
    hint = text_of(chromium, "#hint")  # Chromium's fake camera shows a green screen with a clock
    chromium.evaluate("document.getElementById('take').click()")
    until(chromium, "!document.getElementById('result').hidden")
    assert (
        hint in text_of(chromium, "#outcome")
        and chromium.evaluate("document.getElementById('outcome').dataset.outcome") == "retake"
    )


@needs_browser
def test_a_refused_camera_is_said(site: Site) -> None:
    with_none = Chromium(*NO_CAMERA, "--lang=en-GB", patience_s=240)
    try:
        opened(with_none, site)
        with_none.evaluate("document.getElementById('camera').click()")
        until(with_none, "document.getElementById('status').innerText.startsWith('The camera')")
        assert "NotAllowedError" in text_of(with_none, "#status")
        assert not with_none.evaluate("document.getElementById('camera').hidden")
        assert with_none.evaluate("document.getElementById('video').hidden")
    finally:
        with_none.close()


@needs_browser
def test_everything_is_reached_by_the_keyboard(chromium: Chromium, site: Site) -> None:
    opened(chromium, site)
    chromium.evaluate("document.body.focus()")
    reached = []
    for _ in range(6):
        press(chromium, "Tab", 9)
        reached.append(chromium.evaluate("document.activeElement.id || document.activeElement.className"))
    assert reached[:4] == ["language", "file", "camera", "run"]
    chromium.evaluate("document.getElementById('run').focus()")
    ring = chromium.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    press(chromium, "Enter", 13, "\r")
    until(chromium, "document.getElementById('verdict').dataset.delta")
    assert text_of(chromium, "#verdict").startswith("Passed") and ring == "solid"
    assert "Memory of the page: " in text_of(chromium, "#verdict")
    assert chromium.evaluate("getComputedStyle(document.getElementById('run')).minHeight") == "44px"


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screen_reader_finds_its_way(chromium: Chromium, site: Site, bundle: Path, scheme: str) -> None:
    """axe-core of WCAG 2.2 AA, contrast too, with a result, an open self-test and on a screen of 360 pixels."""
    chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    chromium.call("Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=2, mobile=True)
    try:
        opened(chromium, site)
        chosen(chromium, bundle / "self_test_0.png")
        chromium.evaluate("document.getElementById('run').click()")
        until(chromium, "!document.getElementById('table').hidden")
        found = rules(chromium)
        assert found.broken == []
        keep(chromium, f"web_{scheme}", "#notice", "#result")
        assert "color-contrast" in found.kept and len(found.kept) > 15
        assert chromium.evaluate("document.documentElement.scrollWidth") <= 360
    finally:
        chromium.call("Emulation.clearDeviceMetricsOverride")
        chromium.call("Emulation.setEmulatedMedia", features=[])
