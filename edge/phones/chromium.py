"""Chromium without a window, with one page, driven by the DevTools protocol through a pipe: no port is opened.

The protocol: https://chromedevtools.github.io/devtools-protocol/. With `--remote-debugging-pipe` the browser reads JSON
from descriptor 3 and writes it to descriptor 4, each message ended by a zero byte.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from edge.errors import InputError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless", "--remote-debugging-pipe", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-dev-shm-usage", "--force-color-profile=srgb", "--hide-scrollbars",
]  # fmt: skip
# Gives a program the two ends of the pipes under the numbers that it expects.
WITH_PIPES = (
    "import os, sys; r, w = int(sys.argv[1]), int(sys.argv[2]); os.dup2(r, 3); os.dup2(w, 4); "
    "os.execvp(sys.argv[3], sys.argv[3:])"
)
FIRST_FREE = 10  # descriptors below may be 3 or 4
PATIENCE_S = 300.0  # for one answer; a large network on a busy machine takes seconds
LAST_WORDS_S = 5.0


class PageError(RuntimeError):
    """What a page threw, or that the browser stopped."""


def program() -> str:
    """The browser; InputError where there is none."""
    for name in PROGRAMS:
        if shutil.which(name):
            return name
    raise InputError("no Chromium, in which LiteRT.js runs here: `apt-get install chromium`")


class Chromium:
    def __init__(self, *flags: str, patience_s: float = PATIENCE_S) -> None:
        """Starts the browser with an empty page. Raises InputError if there is none, or it does not start."""
        name = program()
        self.patience_s, self.last, self.unread = patience_s, 0, b""
        self.session: str | None = None
        self.loaded: set[str] = set()  # the pages that are there with all of their modules
        self.profile = tempfile.TemporaryDirectory(prefix="dermedge-chromium-", ignore_cleanup_errors=True)
        self.said = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        theirs_in, self.to_browser = high_pipe()
        self.from_browser, theirs_out = high_pipe()
        root = ["--no-sandbox"] if os.geteuid() == 0 else []  # the sandbox refuses to run as root
        self.process = subprocess.Popen(
            [
                sys.executable, "-I", "-S", "-c", WITH_PIPES, str(theirs_in), str(theirs_out), name, *FLAGS, *root,
                f"--user-data-dir={self.profile.name}", *flags, "about:blank",
            ],
            pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=self.said, stderr=self.said,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            self.version = str(self.call("Browser.getVersion")["product"]).replace("/", " ").removeprefix("Headless")
            pages = self.call("Target.getTargets")["targetInfos"]
            page = next(target["targetId"] for target in pages if target["type"] == "page")
            self.session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
            self.call("Inspector.enable")
            self.call("Page.enable")
            self.call("Page.setLifecycleEventsEnabled", enabled=True)
        except (PageError, StopIteration) as error:
            words = self.last_words()
            self.close()
            raise InputError(f"{name} does not start here: {words}") from error
        except BaseException:
            self.close()
            raise

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol to the page; before there is one, to the browser. PageError if it fails."""
        self.last += 1
        message: dict[str, Any] = {"id": self.last, "method": method, "params": parameters}
        if self.session and not method.startswith(("Browser.", "Target.")):
            message["sessionId"] = self.session
        self.send(json.dumps(message).encode() + b"\0")
        deadline = monotonic() + self.patience_s
        while True:
            answer = self.read(deadline)
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise PageError(str(answer["error"].get("message", answer["error"])))
                return answer["result"]
            self.note(answer)

    def note(self, event: dict[str, Any]) -> None:
        """What the browser reports by itself."""
        if event.get("method") == "Inspector.targetCrashed":
            raise PageError("the page crashed, most likely for want of memory")
        if event.get("method") == "Page.lifecycleEvent" and event["params"]["name"] == "load":
            self.loaded.add(event["params"]["loaderId"])

    def open(self, address: str) -> None:
        """Go to an address and wait until the page and its modules are loaded."""
        answer = self.call("Page.navigate", url=address)
        if answer.get("errorText"):
            raise PageError(f"{address}: {answer['errorText']}")
        deadline = monotonic() + self.patience_s
        while answer["loaderId"] not in self.loaded:
            self.note(self.read(deadline))

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited where it is a promise. PageError with what it throws."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            thrown = details.get("exception", {})
            words = thrown.get("description") or thrown.get("value") or details.get("text")
            raise PageError(str(words).split("\n    at ")[0].strip())
        return answer["result"].get("value")

    def choose(self, selector: str, path: Path) -> None:
        """Give a file to the field for files that a CSS selector names."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def send(self, message: bytes) -> None:
        try:
            while message:
                message = message[os.write(self.to_browser, message) :]
        except OSError as error:
            raise PageError("the browser has ended") from error

    def read(self, deadline: float) -> dict[str, Any]:
        """The next message."""
        while b"\0" not in self.unread:
            ready, _, _ = select.select([self.from_browser], [], [], max(0.0, deadline - monotonic()))
            if not ready:
                raise PageError(f"the browser did not answer within {self.patience_s:.0f} s")
            data = os.read(self.from_browser, 2**20)
            if not data:
                raise PageError("the browser has ended")
            self.unread += data
        message, _, self.unread = self.unread.partition(b"\0")
        return json.loads(message)

    def last_words(self) -> str:
        """What the browser wrote last, for whoever has to find out why it does not start."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=LAST_WORDS_S)
        self.said.seek(0)
        lines = self.said.read(2**16).decode("utf-8", "replace").strip().splitlines()
        return (lines or ["it gave no reason"])[-1][:300]

    def close(self) -> None:
        """End the browser and all of its processes, and remove its profile."""
        for end in (self.to_browser, self.from_browser):  # it ends by itself when the pipe does
            os.close(end)
        try:
            self.process.wait(timeout=LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.said.close()
        self.profile.cleanup()


def high_pipe() -> tuple[int, int]:
    """A pipe whose two ends have numbers from 10 on: (to read from, to write to)."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
