"""A phone's own library as the engine of a .tflite: a process that answers frame by frame (edge/phones)."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.environments import facts
from edge.errors import InputError
from edge.phones import android, arm, browser, legacy, processor
from edge.progress import track
from edge.runtimes import Outputs, Refused, Runtime, joined
from edge.runtimes.engine import Input
from edge.runtimes.timing import cores

TYPES = {1: np.float32, 2: np.int32, 3: np.uint8, 4: np.int64, 9: np.int8, 10: np.float16}  # TfLiteType


BROWSER = "browser"
NATIVE = {"android-x86_64": "x86_64", "android-java": android.JAVA}  # Android's, on this machine's own processor
PROCESS_CLOCK = 2  # in the number that Linux has for the clock of a process (clock_getcpuclockid)
WORKER_SAYS = "worker: "  # before its reason, so that it is known among the lines of a large library
OPENS_WITHIN = 120.0  # seconds; an emulated processor on a busy machine takes some ten
LAST_WORDS = 5  # seconds that a library has to end after its output went wrong


@dataclass(frozen=True)
class Choice:
    """`android:2.12.0:cortex-a53` taken apart."""

    library: str  # one of edge.runtimes.litert.PHONES
    version: str
    processor: str

    @property
    def emulated(self) -> bool:
        """Whether its time says nothing of a phone's, also not against another file's there."""
        return self.processor in processor.PROCESSORS


def choice_of(mode: str) -> Choice:
    """What a mode names. InputError for what goes wrong.

    Where it says nothing: Android's newest version and an earlier interpreter's oldest; a Cortex-A76 for what is for
    ARM alone, and otherwise this machine's own processor.
    """
    library, *rest = mode.split(":")
    processors = [part for part in rest if part in processor.PROCESSORS]
    versions = [part for part in rest if part not in processors]
    if len(processors) > 1 or len(versions) > 1 or (versions and library == "arm64") or "" in rest:
        raise InputError(
            f"{mode}: expected arm64[:PROCESSOR], android[:VERSION][:PROCESSOR], android-x86_64[:VERSION], "
            f"android-java[:VERSION], {BROWSER}, or {', '.join(legacy.LIBRARIES)} with [:VERSION][:PROCESSOR], where a "
            f"processor is one of {', '.join(processor.PROCESSORS)}"
        )
    if library == BROWSER:
        if rest:
            raise InputError(f"{mode}: {BROWSER} is LiteRT.js {browser.LITERTJS} on this machine's own processor alone")
        return Choice(library, browser.LITERTJS, platform.machine())
    if library in NATIVE:
        if processors:
            raise InputError(f"{mode}: {library} runs on this machine's own processor")
        return Choice(library, (versions or [android.TFLITE])[0], platform.machine())
    if library in legacy.LIBRARIES:
        version = (versions or legacy.LIBRARIES[library].versions)[0]
        return Choice(library, version, (processors or [platform.machine()])[0])
    version = arm.LITERT if library == "arm64" else (versions or [android.TFLITE])[0]
    return Choice(library, version, (processors or [processor.DEFAULT])[0])


def environment_of(mode: str) -> dict | None:
    """What a report says of the locked environment that a mode runs in; None of one that needs none."""
    choice = choice_of(mode)
    if choice.library not in legacy.LIBRARIES:
        return None
    machine = legacy.EMULATED if choice.emulated else None
    return facts(legacy.environment_of(choice.library, choice.version, machine))


def command_of(path: Path, choice: Choice, threads: int) -> list[str]:
    if choice.library == "arm64":
        return arm.command(path, threads=threads, cpu=choice.processor)
    if choice.library in legacy.LIBRARIES:
        cpu = choice.processor if choice.emulated else None
        return legacy.command(choice.library, path, version=choice.version, threads=threads, cpu=cpu)
    if choice.library in NATIVE:
        return android.command(NATIVE[choice.library], path, version=choice.version, threads=threads)
    return android.command("arm64", path, version=choice.version, threads=threads, cpu=choice.processor)


class Phone:
    """The `inputs`, shapes of the `outputs`; `version`, and `xnnpack` if that is used."""

    def __init__(self, path: Path, mode: str, threads: int) -> None:
        self.path, self.mode, self.choice = path, mode, choice_of(mode)
        command = command_of(path.resolve(), self.choice, threads)
        self.said = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, bufsize=-1
        )
        assert self.process.stdin and self.process.stdout
        stopped = threading.Timer(OPENS_WITHIN, self.process.kill)  # whatever hangs there must not hang here
        stopped.daemon = True
        stopped.start()
        try:
            facts = json.loads(self.process.stdout.readline(65536) or b"{}")
            outputs = facts["outputs"]
            # a runner that was set up before it said names opens files with one input all the same
            self.inputs = [
                Input(str(one.get("name", "")), tuple(one["shape"]), TYPES[one["type"]]) for one in facts["inputs"]
            ]
            self.outputs = [tuple(output["shape"]) for output in outputs]
            self.types = [np.dtype(TYPES[output["type"]]) for output in outputs]
            self.version, self.xnnpack = str(facts["version"]), bool(facts["xnnpack"])
        except (ValueError, KeyError, TypeError) as error:
            reason = self.refused()
            self.close()
            if not stopped.is_alive():
                raise Refused(f"{path.name}: {mode} had not opened it after {OPENS_WITHIN:.0f} s") from error
            raise reason from error
        finally:
            stopped.cancel()
        if len(self.inputs) > 1 and not all(tensor.name for tensor in self.inputs):
            self.close()
            raise Refused(
                f"{self.path.name}: {self.mode} was set up before files had a second input; run `dermedge setup` again"
            )

    def invoke(self, tensors: list[np.ndarray]) -> list[np.ndarray]:
        assert self.process.stdin and self.process.stdout
        try:
            for value, tensor in zip(tensors, self.inputs, strict=True):
                self.process.stdin.write(np.ascontiguousarray(value, tensor.dtype).tobytes())
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise self.refused() from error
        results = []
        for shape, kind in zip(self.outputs, self.types, strict=True):
            size = int(np.prod(shape)) * kind.itemsize
            data = self.process.stdout.read(size)
            if len(data) < size:
                raise self.refused()
            results.append(np.frombuffer(data, kind).reshape(shape))
        return results

    def processor_seconds(self) -> float:
        """The processor time that the process has used, of all its threads; on other systems than Linux the time that
        has passed."""
        if not sys.platform.startswith("linux"):
            return time.perf_counter()
        return time.clock_gettime((~self.process.pid << 3) | PROCESS_CLOCK)

    def refused(self) -> Refused:
        """What the library said last, in one sentence."""
        try:
            self.process.wait(timeout=LAST_WORDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.said.seek(0)
        lines = [line.strip() for line in self.said.read(2**16).decode("utf-8", "replace").splitlines()]
        own = [line.removeprefix(WORKER_SAYS) for line in lines if line.startswith(WORKER_SAYS)]
        # Android's log stands there too
        reasons = own or [line for line in lines if line and not line.startswith(("INFO", "I/", "E/"))]
        said = "; ".join(reasons)[:600] or "it gave no reason"
        return Refused(f"{self.path.name}: {self.mode} does not open it: {said}")

    def close(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.said):
            if stream:
                with suppress(OSError):  # what was not written yet has no reader
                    stream.close()


def run_side_by_side(
    open_it: Callable[[], Runtime], images_u8: np.ndarray, *, task: str, answers: np.ndarray | None = None
) -> Outputs:
    """What is said of uint8 (N, S, S, 3), by a process for each core, because one emulated processor is slow.

    `open_it` opens the file once more; `answers`: its second input, float32 (N, Q). Raises Refused as soon as one
    process refuses it.
    """
    count = min(cores(), len(images_u8))
    runtimes = [open_it()]
    try:
        runtimes += [open_it() for _ in range(count - 1)]
        free = list(runtimes)

        def answer(number: int) -> Outputs:
            runtime = free.pop()  # there are as many threads as runtimes
            rows = slice(number, number + 1)
            try:
                return runtime.run(images_u8[rows], None if answers is None else answers[rows])
            finally:
                free.append(runtime)

        with ThreadPoolExecutor(count) as pool:
            return joined(list(track(pool.map(answer, range(len(images_u8))), task, len(images_u8))))
    finally:
        for runtime in runtimes:
            runtime.close()
