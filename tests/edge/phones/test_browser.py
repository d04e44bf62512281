"""The browser: what is said where it is missing, what its page may read, and what a file and a page get wrong."""

from __future__ import annotations

import http.client
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.errors import InputError
from edge.phones import browser, chromium
from edge.phones.chromium import Chromium, PageError
from edge.phones.site import Site, handler_of
from edge.runtimes import Refused
from edge.runtimes.litert import LiteRT
from tests._phones import needs_browser


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds all programs that there are."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_the_lock_names_every_package_by_checksum_and_no_registry() -> None:
    text = browser.LOCK.read_text()
    packages = {name: entry for name, entry in json.loads(text)["packages"].items() if name}
    assert packages and all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert "http" not in text
    wanted = json.loads((browser.SOURCES / "package.json").read_text())["dependencies"]
    assert wanted == {"@litertjs/core": browser.LITERTJS}


@pytest.mark.usefixtures("nothing_set_up")
def test_what_is_missing_is_named(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no Chromium.*apt-get install chromium"):
        browser.set_up()
    program(programs, "chromium", "exit 1")
    with pytest.raises(InputError, match=r"no npm.*apt-get install npm"):
        browser.set_up()
    program(programs, "npm", "echo noise >&2; echo npm error code ENOTFOUND >&2; exit 1")
    with pytest.raises(InputError, match=r"`npm ci` failed: npm error code ENOTFOUND$"):
        browser.set_up()
    assert not browser.is_set_up()
    assert not list((tmp_path / "none").glob("*"))  # nothing half-made


@pytest.mark.usefixtures("nothing_set_up")
def test_packages_that_do_not_start_are_not_kept(programs: Path, tmp_path: Path) -> None:
    program(programs, "npm", f"/bin/mkdir -p {browser.PACKAGE}")
    program(programs, "chromium", "echo cannot open display >&2; exit 1")
    with pytest.raises(InputError, match="cannot open display"):
        browser.set_up()
    assert not browser.is_set_up() and not list((tmp_path / "none").glob("*"))


@pytest.mark.usefixtures("nothing_set_up")
def test_an_npm_that_hangs_is_ended(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "chromium", "exit 1")
    program(programs, "npm", "exec /bin/sleep 60")
    monkeypatch.setattr(browser, "INSTALL_S", 0.2)
    with pytest.raises(InputError, match="`npm ci` did not finish within 0 s"):
        browser.set_up()


def test_a_browser_that_is_interrupted_while_it_starts_is_ended(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs, "chromium", "exec /bin/cat <&3")  # ends when its pipe does
    opened = []

    def interrupted(self: Chromium, method: str) -> None:
        opened.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Chromium, "call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Chromium()
    assert opened[0].process.poll() is not None and not Path(opened[0].profile.name).exists()


def test_a_browser_that_does_not_start_says_why(programs: Path) -> None:
    program(programs, "chromium", "echo cannot open display >&2; exit 1")
    with pytest.raises(InputError, match="chromium does not start here: cannot open display"):
        Chromium()


def status(site: Site, path: str) -> int:
    connection = http.client.HTTPConnection(site.address.removeprefix("http://"))
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_a_page_reads_what_is_served_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "public" / "sub").mkdir(parents=True)
    (tmp_path / "public" / "index.html").write_text("<p>")
    (tmp_path / "public" / "sub" / "a b.js").write_text("0")
    (tmp_path / "secret").write_text("s")
    os.symlink(tmp_path / "secret", tmp_path / "public" / "link")
    site = Site({"/": tmp_path / "public", "/model": tmp_path / "secret", "/gone": tmp_path / "none"})
    try:
        for path in ("/", "/index.html", "/sub/a%20b.js", "/model", "/model?x=1"):
            assert status(site, path) == 200, path
        for path in (
            "/../secret",
            "/%2e%2e/secret",
            "/sub/../../secret",
            "/link",
            "/gone",
            "/sub",
            "/a%00b",
            "//etc/passwd",
        ):
            assert status(site, path) == 404, path
        with pytest.raises(InputError, match="nothing can be served at"):
            Site({}, port=site.server.server_port)
    finally:
        site.close()


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(InputError, match=f"port {port} is none; expected 1 to 65535"):
        Site({}, port=port)


def test_a_browser_that_hangs_up_is_no_error(tmp_path: Path) -> None:
    class Gone:
        def makefile(self, *_: object) -> io.BytesIO:
            return io.BytesIO(b"GET /model HTTP/1.0\r\n\r\n")

        def sendall(self, _: bytes) -> None:
            tried.append(True)
            raise BrokenPipeError

    (tmp_path / "model").write_bytes(b"m")
    tried: list[bool] = []
    site = Site({"/model": tmp_path / "model"})
    try:
        handler_of(site)(Gone(), ("", 0), site.server)  # type: ignore[arg-type]
    finally:
        site.close()
    assert tried


@pytest.fixture(scope="module")
def page() -> Iterator[Chromium]:
    opened = Chromium(patience_s=20)
    yield opened
    opened.close()


@needs_browser
def test_what_a_page_throws_is_said(page: Chromium) -> None:
    assert page.evaluate("Promise.resolve([1, 'a', null])") == [1, "a", None]
    with pytest.raises(PageError, match=r"^TypeError: no such thing$"):
        page.evaluate("(async () => { throw new TypeError('no such thing'); })()")
    with pytest.raises(PageError, match="REFUSED"):
        page.open("http://127.0.0.1:59999/")
    page.patience_s = 0.5
    with pytest.raises(PageError, match="did not answer within"):
        page.evaluate("new Promise(() => {})")


@needs_browser
def test_a_browser_that_is_gone_is_an_error_and_no_hang(fp32_file: Path) -> None:
    opened = LiteRT(fp32_file, mode="browser")
    opened.engine.chromium.process.kill()
    with pytest.raises(Refused, match=r"small\.tflite: browser \(LiteRT\.js .* stops in it: the browser has ended"):
        opened.run(np.zeros((1, 16, 16, 3), np.uint8))
    opened.close()


@needs_browser
def test_what_litertjs_does_not_take_is_refused_in_its_words(fp32_file: Path, tmp_path: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    from convert._tflite.quantise import with_byte_input
    from edge.tflite.flatbuffer import pack, unpack

    model = unpack(with_byte_input(fp32_file.read_bytes()))
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].type = schema.TensorType.INT8
    (tmp_path / "int8.tflite").write_bytes(pack(model))
    with pytest.raises(Refused, match=r"int8\.tflite: browser .* does not open it: .*INT8 is not supported"):
        LiteRT(tmp_path / "int8.tflite", mode="browser")
    (tmp_path / "cut.tflite").write_bytes(fp32_file.read_bytes()[:1500])
    with pytest.raises(Refused, match=r"cut\.tflite: browser .* does not open it"):
        LiteRT(tmp_path / "cut.tflite", mode="browser")
    with pytest.raises(InputError, match="one thread, got 2"):
        LiteRT(fp32_file, mode="browser", threads=2)


def test_the_browser_needs_no_port_of_its_own() -> None:
    assert "--remote-debugging-pipe" in chromium.FLAGS
    assert not [flag for flag in chromium.FLAGS if "port" in flag]
