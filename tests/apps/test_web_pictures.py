"""The page on a small phone, in both languages, with large text: it fits, axe-core finds nothing, docs/apps shows it.

DERMEDGE_APP_PICTURES names the folder that the pictures go to. What is on them is drawn; so are the model's weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dermedge
from edge import artifact
from edge.bundles import page
from edge.files import sha256, size
from edge.labels import PAD_UFES_20
from edge.manifest import Mask, Output
from edge.nine_questions import QUESTIONS
from edge.phones.chromium import Chromium
from edge.phones.site import Site
from tests._phones import needs_browser
from tests.apps._axe import rules
from tests.apps._drawn import DECISION, SIDE, Painted, lesion
from tests.apps._page import opened, text_of, until
from tests.apps._pictures import WIDTH, keep
from tests.edge._manifests import entry, manifest

LARGE = "200%"  # WCAG 1.4.4
SEEN = (320, 240)  # of the fake camera
ANSWERED = {"age": "54", "region": "nose", "itches": "true", "bleeds": "false"}
TITLES = {"en": "A skin-lesion model on this device", "de": "Ein Modell für Hautflecken auf diesem Gerät"}


def camera_file(path: Path) -> Path:
    """A film of one picture, a drawn lesion, that Chromium's fake camera plays (YUV4MPEG2, 4:2:0)."""
    lesion(path.with_suffix(".png"), SEEN[1])
    seen = Image.new("RGB", SEEN, (214, 168, 146))
    seen.paste(Image.open(path.with_suffix(".png")), ((SEEN[0] - SEEN[1]) // 2, 0))
    y, cb, cr = seen.convert("YCbCr").split()
    half = (SEEN[0] // 2, SEEN[1] // 2)
    frame = b"".join(np.asarray(plane).tobytes() for plane in (y, cb.resize(half), cr.resize(half)))
    path.write_bytes(b"YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420jpeg\n" % SEEN + b"FRAME\n" + frame)
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A model that asks nine questions and finds the lesion."""
    from convert._tflite.file import float_model
    from convert._tflite.second_input import with_second_input

    folder = tmp_path_factory.mktemp("asking")
    torch.manual_seed(0)
    mean, std = (0.5,) * 3, (0.25,) * 3
    checkpoint = dermedge.wrap(Painted().eval(), list(PAD_UFES_20), side=SIDE, mean=mean, std=std, name="painted")
    places = sum(question.length for question in QUESTIONS)
    rows = np.random.default_rng(2).normal(0, 0.5, (len(PAD_UFES_20), places)).astype(np.float32)
    path = folder / "painted-answers-fp32.tflite"
    path.write_bytes(with_second_input(float_model(checkpoint).content, rows))
    files = (entry(path.name, recipe="fp32", answers=True, sha256=sha256(path), bytes=size(path)),)
    artifact.write(folder, manifest(
        side=SIDE, labels=tuple(PAD_UFES_20), files=files, mask=Mask("drawn", SIDE, 0.5), decision=DECISION,
        output=Output("softmax", 1.0, 0.2), questions=QUESTIONS, log_odds=tuple(tuple(map(float, row)) for row in rows),
    ))  # fmt: skip
    served = page.served(folder)
    yield served
    served.close()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    film = camera_file(tmp_path_factory.mktemp("camera") / "lesion.y4m")
    started = Chromium(
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}", "--lang=en-GB", patience_s=180,
    )  # fmt: skip
    started.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=640, deviceScaleFactor=2, mobile=True)
    yield started
    started.close()


def answer_questions(chromium: Chromium) -> None:
    for name, value in ANSWERED.items():
        chromium.evaluate(
            f"(() => {{ const field = document.querySelector('[data-question={name}]'); field.value = '{value}'; "
            "field.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )
    until(chromium, f"document.querySelectorAll('#effects li').length === {len(ANSWERED)}")


@needs_browser
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_small_phone_shows_all_of_it(chromium: Chromium, site: Site, language: str, large: bool) -> None:
    opened(chromium, site)
    if large:
        chromium.evaluate(f"document.documentElement.style.fontSize = '{LARGE}'")
    chromium.evaluate(
        f"(() => {{ const field = document.getElementById('language'); field.value = '{language}'; "
        "field.dispatchEvent(new Event('change')); })()"
    )
    until(chromium, f"document.querySelector('h1').innerText === '{TITLES[language]}'")
    chromium.evaluate("document.getElementById('camera').click()")
    until(chromium, "document.getElementById('hint').innerText")
    assert text_of(chromium, "#hint") == {"en": "The picture can be used.", "de": "Das Bild ist brauchbar."}[language]
    if not large:
        keep(chromium, f"web_camera_{language}", "#notice", "#hint")
    chromium.evaluate("document.getElementById('take').click()")
    until(chromium, "!document.getElementById('result').hidden")
    answer_questions(chromium)
    if not large:
        keep(chromium, f"web_questions_{language}", "#questions", "#questions")
    keep(chromium, f"web_answer_{language}{'_large' if large else ''}", "#result", "#result")
    assert chromium.evaluate("document.documentElement.scrollWidth") <= WIDTH
    assert rules(chromium).broken == []
