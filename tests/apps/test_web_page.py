"""The web page in a real browser: it says what Python says, with and without a network, and refuses what it must."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from PIL import Image

from dermedge.commands import serve_web
from edge import artifact
from edge.bundles import page
from edge.bundles.app_runtimes import app_runtime
from edge.bundles.device_report import certified, read_device_report
from edge.files import sha256, size
from edge.labels import Label
from edge.manifest import SelfTest
from edge.phones import browser
from edge.phones.chromium import Chromium
from edge.phones.site import Site
from edge.preprocess import to_input
from edge.runtimes.litert import LiteRT
from tests._phones import needs_browser
from tests.apps._page import UNTIL, opened, probabilities, text_of
from tests.edge._manifests import entry, manifest

WEB = page.PAGE
SIDE = 16
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
LABELS = tuple(Label(code, name, malignant=False) for code, name in (("A", "first"), ("B", "second"), ("C", "third")))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, fp32_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    shutil.copy(fp32_file, folder / "net-fp32.tflite")
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "self_test_0.png")
    probabilities = tuple(map(float, LiteRT(fp32_file).run(pixels[None]).probabilities[0]))
    path = folder / "net-fp32.tflite"
    test = SelfTest(
        "self_test_0.png", sha256(folder / "self_test_0.png"), hashlib.sha256(pixels.tobytes()).hexdigest(),
        probabilities, {path.name: probabilities},
    )  # fmt: skip
    files = (entry(path.name, sha256=sha256(path), bytes=size(path)),)
    artifact.write(folder, manifest(side=SIDE, labels=LABELS, files=files, self_test=(test,)))
    return folder


@pytest.fixture
def site(bundle: Path) -> Iterator[Site]:
    opened = page.served(bundle)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    opened = Chromium(*CAMERA, "--lang=en-GB", patience_s=120)
    yield opened
    opened.close()


def photograph(path: Path) -> Path:
    picture = np.random.default_rng(1).integers(0, 256, (40, 61, 3), np.uint8)
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees
    Image.fromarray(picture).resize((610, 400)).save(path, quality=95, exif=exif)
    return path


def check_photograph(chromium: Chromium, file: Path, bundle: Path) -> None:
    from edge.capture import read_photo

    chromium.evaluate("document.getElementById('result').hidden = true")
    chromium.choose("#file", file)
    chromium.evaluate(UNTIL.format("!document.getElementById('result').hidden"))
    square = to_input(read_photo(file), SIDE)
    expected = LiteRT(bundle / "net-fp32.tflite").run(square[None]).probabilities[0]
    answer = probabilities(chromium)
    np.testing.assert_allclose([answer[label.code] for label in LABELS], expected, atol=1e-6)
    assert list(answer) == [LABELS[i].code for i in np.argsort(-expected)]


def saved_report(chromium: Chromium, folder: Path) -> Path:
    folder.mkdir()
    chromium.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    chromium.evaluate("document.getElementById('save').click()")
    deadline = monotonic() + chromium.patience_s
    while not (folder / "device-report.json").is_file():
        assert monotonic() < deadline
        sleep(0.1)
    return folder / "device-report.json"


@needs_browser
def test_it_says_what_python_says_also_without_a_network(
    chromium: Chromium, site: Site, bundle: Path, tmp_path: Path
) -> None:
    file = photograph(tmp_path / "turned.jpg")
    opened(chromium, site)
    assert text_of(chromium, "#status") == "Ready: net-fp32.tflite"
    check_photograph(chromium, file, bundle)
    chromium.evaluate("document.getElementById('run').click()")
    chromium.evaluate(UNTIL.format("document.getElementById('verdict').dataset.delta"))
    assert text_of(chromium, "#verdict").startswith("Passed")
    assert float(chromium.evaluate("document.getElementById('verdict').dataset.delta")) < 1e-6
    report = saved_report(chromium, tmp_path / "saved")
    result = certified(read_device_report(report), artifact.read(bundle), where="the page's")
    assert result.verdict == "pass" and result.largest_delta_p < 1e-6
    assert (result.run.runtime, result.run.version) == ("device-litertjs", browser.LITERTJS)
    held = chromium.evaluate("import('@litertjs/core').then((m) => m.getGlobalLiteRt().liteRtWasm.HEAPU8.byteLength)")
    assert result.memory_bytes is not None and result.memory_bytes > held > 2**20
    chromium.evaluate(UNTIL.format("document.body.dataset.offline"))
    site.close()
    opened(chromium, site)
    check_photograph(chromium, file, bundle)


@needs_browser
def test_answers_count_as_in_python(chromium: Chromium, tmp_path: Path) -> None:
    from convert._tflite.file import float_model
    from convert._tflite.second_input import with_second_input
    from edge.answers import encode
    from edge.capture import read_photo
    from tests._answering import small

    checkpoint = small()
    log_odds = np.array(checkpoint.log_odds, np.float32)
    path = tmp_path / "net-answers-fp32.tflite"
    path.write_bytes(with_second_input(float_model(checkpoint).content, log_odds))
    files = (entry(path.name, recipe="fp32", answers=True, sha256=sha256(path), bytes=size(path)),)
    rows = tuple(tuple(map(float, row)) for row in log_odds)
    side = checkpoint.preprocess.side
    facts = manifest(side=side, labels=checkpoint.labels, files=files, questions=checkpoint.questions, log_odds=rows)
    artifact.write(tmp_path, facts)
    answers = {"age": 54.0, "region": "nose", "itches": True, "grew": False}
    vector = encode(answers, checkpoint.questions)[None]
    file = photograph(tmp_path / "turned.jpg")
    square = to_input(read_photo(file), side)[None]
    runtime = LiteRT(path)
    alone, expected = runtime.run(square).probabilities[0], runtime.run(square, vector).probabilities[0]
    assert np.abs(alone - expected).max() > 0.05
    site = page.served(tmp_path)
    try:
        opened(chromium, site)
        chromium.choose("#file", file)
        chromium.evaluate(UNTIL.format("!document.getElementById('result').hidden"))
        shown = probabilities(chromium)
        np.testing.assert_allclose([shown[label.code] for label in checkpoint.labels], alone, atol=1e-6)
        chromium.evaluate(
            f"(() => {{ const form = document.getElementById('form'); const said = {json.dumps(answers)}; "
            "for (const id in said) form.querySelector(`[data-question=${id}]`).value = String(said[id]); "
            "form.dispatchEvent(new Event('change')); })()"
        )
        chromium.evaluate(UNTIL.format("document.querySelectorAll('#effects li').length === 4"))
        shown = probabilities(chromium)
        np.testing.assert_allclose([shown[label.code] for label in checkpoint.labels], expected, atol=1e-6)
    finally:
        site.close()


@needs_browser
def test_nothing_leaves_the_page_and_the_notice_is_there(chromium: Chromium, site: Site) -> None:
    elsewhere = Site({"/": WEB})
    try:
        opened(chromium, site)
        refused = chromium.evaluate(
            f"fetch('{elsewhere.address}/icon.svg', {{mode: 'no-cors'}}).then(() => 0, () => 1)"
        )
        assert refused == 1
        assert chromium.evaluate("fetch('icon.svg').then(() => 1)") == 1
    finally:
        elsewhere.close()
    chromium.call("Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=2, mobile=True)
    assert chromium.evaluate("document.documentElement.scrollWidth") <= 360
    for language, notice in (("de", "Für die Forschung, kein Medizinprodukt"), ("en", "Research use, not a medical")):
        chromium.evaluate(
            f"(() => {{ const list = document.getElementById('language'); list.value = '{language}'; "
            "list.dispatchEvent(new Event('change')); scrollTo(0, 1e6); })()"
        )
        assert text_of(chromium, "#notice").startswith(notice)
        assert chromium.evaluate("document.getElementById('notice').getBoundingClientRect().top") == 0
        assert chromium.evaluate("document.documentElement.lang") == language
    chromium.call("Emulation.clearDeviceMetricsOverride")


@needs_browser
def test_the_camera_gives_a_picture(chromium: Chromium, site: Site) -> None:
    opened(chromium, site)
    chromium.evaluate("document.getElementById('camera').click()")
    chromium.evaluate(UNTIL.format("document.getElementById('hint').innerText"))
    chromium.evaluate("document.getElementById('take').click()")
    chromium.evaluate(UNTIL.format("!document.getElementById('result').hidden"))
    assert sum(probabilities(chromium).values()) == pytest.approx(1, abs=1e-5)
    assert chromium.evaluate("document.getElementById('video').srcObject") is None


@needs_browser
@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [("CMYK", "jpg", "made for print"), ("RGBA", "png", "transparent in places"), ("I;16", "png", "16 bits per colour"),
     ("RGB", "gif", "neither a JPEG nor a PNG")],
)  # fmt: skip
def test_a_picture_that_browsers_read_differently_is_refused(
    chromium: Chromium, site: Site, tmp_path: Path, mode: str, kind: str, words: str
) -> None:
    file = tmp_path / f"x.{kind}"
    Image.new(mode, (20, 20)).save(file)
    opened(chromium, site)
    chromium.choose("#file", file)
    chromium.evaluate(UNTIL.format(f"document.getElementById('status').innerText.includes({words!r})"))
    assert chromium.evaluate("document.getElementById('result').hidden")


@needs_browser
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ({"schema": "dermedge/manifest/9"}, "the model's manifest is dermedge/manifest/9"),
        ({"preprocess": {"version": "area-9"}}, "the model wants area-9"), ({}, "is not the file of the manifest"),
        ({"labels": []}, "lacks or misspells labels"), ({"files": None}, "lacks or misspells files"),
        ({"mask": {"name": "mask", "meaning": "drawn", "side": SIDE, "threshold": 0.5}}, "has other inputs or outputs"),
        ({"surprise": 1}, "lacks or misspells surprise"),
    ],
)  # fmt: skip
def test_another_model_is_refused(chromium: Chromium, bundle: Path, tmp_path: Path, spoil: dict, words: str) -> None:
    shutil.copytree(bundle, tmp_path / "model")
    value = json.loads((tmp_path / "model" / "manifest.json").read_text())
    (tmp_path / "model" / "manifest.json").write_text(json.dumps(value | spoil))
    if not spoil:
        (tmp_path / "model" / "net-fp32.tflite").write_bytes(b"another")
    site = page.served(tmp_path / "model")
    try:
        opened(chromium, site)
        assert words in text_of(chromium, "#status")
        assert chromium.evaluate("document.getElementById('run').disabled")
    finally:
        site.close()


@needs_browser
def test_a_file_for_a_newer_runtime_is_refused(chromium: Chromium, bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "model")
    place = tmp_path / "model" / "manifest.json"
    place.write_text(place.read_text().replace("LiteRT / TFLite 2.14", "LiteRT / TFLite 2.99"))
    site = page.served(tmp_path / "model")
    try:
        opened(chromium, site)
        assert f"opens from LiteRT / TFLite 2.99 on, and LiteRT.js {browser.LITERTJS} is older" in text_of(
            chromium, "#status"
        )
    finally:
        site.close()


def test_the_page_names_its_runtime_and_the_hash_of_its_import_map() -> None:
    html = (WEB / "index.html").read_text("utf-8")
    content = re.search(r'<script type="importmap">(.*?)</script>', html, re.S)
    assert content
    digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in html
    assert f"LITERTJS = '{browser.LITERTJS}'" in (WEB / "model.js").read_text("utf-8")
    major, minor = app_runtime(None, "web").opens_up_to
    assert f"OPENS_UP_TO = [{major}, {minor}]" in (WEB / "core" / "manifest.js").read_text("utf-8")


def test_every_word_is_there_in_each_language() -> None:
    text = (WEB / "texts.js").read_text("utf-8")
    english, german = text.split("\n  de: {")
    names = [set(re.findall(r"(?:^|[\s{])(\w+): ['\"]", part)) for part in (english, german)]
    assert names[0] == names[1] and len(names[0]) > 40
    used = set(re.findall(r'data-text="(\w+)"', (WEB / "index.html").read_text("utf-8")))
    assert used <= names[0]


@needs_browser
def test_the_written_page_is_whole_wherever_it_lies(chromium: Chromium, bundle: Path, tmp_path: Path) -> None:
    """On a server that knows nothing of dermedge, below another page, from the folder alone."""
    out = tmp_path / "site"
    page.written(bundle, out)
    (out / "model" / "manifest.json").write_text('{"schema": "dermedge/manifest/1"}')  # an earlier page is replaced
    assert serve_web.main([str(bundle), "--recipe", "fp32", "--out", str(out)]) == 0
    assert not [path.name for path in out.rglob("*") if path.suffix == ".map" or path.name == "test"]
    elsewhere = Site({"/lesions/": out})
    try:
        chromium.open(f"{elsewhere.address}/lesions/")
        chromium.evaluate(UNTIL.format("document.body.dataset.state"))
        check_photograph(chromium, photograph(tmp_path / "turned.jpg"), bundle)
    finally:
        elsewhere.close()


@needs_browser
def test_a_folder_of_something_else_is_not_replaced(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    assert serve_web.main([str(bundle), "--recipe", "fp32", "--out", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert serve_web.main([str(bundle), "--recipe", "fp32", "--out", str(tmp_path / "new"), "--port", "0"]) == 2
