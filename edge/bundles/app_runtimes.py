"""The runtimes that apps carry or find on a phone: which files each opens, and where a manifest says it was tried."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.errors import InputError
from edge.manifest import FileEntry, Run

FORMATS = {"android": "tflite", "ios": "mlpackage", "web": "tflite"}  # app -> the format of its files
DEFAULTS = {"android": "tflite-2.16.1", "ios": "ios-16", "web": "litertjs-2.5.3"}  # app -> runtime
LIBRARIES = {"android": ("tflite", "litert"), "ios": ("ios",), "web": ("litertjs",)}  # app -> what it may carry
EXAMPLES = {"android": "tflite-2.16.1 or litert-1.4.0", "ios": "ios-17", "web": "litertjs-2.5.3"}
# LiteRT went on from TFLite 2.17, whose Maven artefact points to LiteRT 1.0.1; 2.0 came after TFLite 2.20. What is
# newer in one of them is not counted, so that a file is refused rather than promised.
AT_LEAST = {("litert", 1): (2, 17), ("litert", 2): (2, 20), ("litertjs", 2): (2, 20)}
# What operators' versions do not tell, as was seen (benchmarks/old_runtimes.csv): XNNPACK of these releases takes a
# file and then refuses its depthwise convolutions with weights in half precision, so that it does not open.
HALF_DEPTHWISE = {("litert", (1, 1)), ("litert", (1, 2)), ("tflite", (2, 19))}  # library, release
# A runtime of an app by the names that `dermedge parity --runtime` and `--device-report` note under seen_right.
SEEN_AS = {
    "tflite": {"android", "android-x86_64", "android-java", "device-tflite"},
    "litert": {"arm64", "litert", "device-litert"},
    "litertjs": {"browser", "device-litertjs"}, "ios": {"device-coreml"},
}  # fmt: skip
NAME = re.compile(r"(tflite|litert|litertjs|ios)-(\d{1,3})((?:\.\d{1,3}){0,2})")
TFLITE = re.compile(r"LiteRT / TFLite (\d+)\.(\d+)")  # of a manifest's opens_from
IOS = re.compile(r"iOS (\d+)")


@dataclass(frozen=True)
class AppRuntime:
    """`tflite-2.16.1` taken apart."""

    library: str
    version: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.library}-{self.number}"

    @property
    def number(self) -> str:
        return ".".join(map(str, self.version))

    @property
    def opens_up_to(self) -> tuple[int, ...]:
        """The release of TFLite, or of iOS, whose files it opens at least."""
        if self.library == "tflite":
            return self.version[:2]
        return self.version[:1] if self.library == "ios" else AT_LEAST[self.library, self.version[0]]

    def saw_right(self, entry: FileEntry) -> tuple[Run, ...]:
        """The runs in which this very runtime answered rightly for a file."""
        runs = [run for run in entry.seen_right if run.runtime in SEEN_AS[self.library]]
        return tuple(run for run in runs if run.version == self.number)


def app_runtime(text: str | None, app: str) -> AppRuntime:
    """The runtime that a name means, or the usual one of an app (`android`, `ios` or `web`).

    Raises InputError for another name, for a runtime that such an app does not have, and for one of which nobody has
    looked up what it opens.
    """
    if app not in DEFAULTS:
        raise InputError(f"there is no app {app!r}; there is {', '.join(DEFAULTS)}")
    match = NAME.fullmatch(text or DEFAULTS[app])
    if match is None or match[1] not in LIBRARIES[app]:
        raise InputError(f"{app}: no runtime {text!r:.60}; expected a name with its version, such as {EXAMPLES[app]}")
    version = (int(match[2]), *(int(part) for part in match[3].split(".")[1:]))
    if match[1] == "tflite" and len(version) < 2:
        raise InputError(f"{text}: which release of TFLite? Such as tflite-2.16.1")
    if match[1].startswith("litert") and (match[1], version[0]) not in AT_LEAST:
        known = ", ".join(f"{library}-{major}.x" for library, major in AT_LEAST if library == match[1])
        raise InputError(f"{text}: it is not known here what this version opens; known are {known}")
    return AppRuntime(match[1], version)


def seen_refusing(entry: FileEntry, runtime: AppRuntime) -> bool:
    """Whether a runtime that knows all of a file's operators was seen to refuse such files all the same."""
    depthwise = entry.audit is None or "DEPTHWISE_CONV_2D" in entry.audit.operators
    return (runtime.library, runtime.version[:2]) in HALF_DEPTHWISE and entry.recipe == "fp16" and depthwise


def check_opens(entry: FileEntry, runtime: AppRuntime) -> None:
    """InputError where a file needs a newer runtime than the app's, where such files were seen not to open in it, and
    where the file says what it needs in words that nobody here knows."""
    match = (IOS if runtime.library == "ios" else TFLITE).match(entry.opens_from)
    if match is None:
        raise InputError(
            f"{entry.file} opens from {entry.opens_from!r:.60}; {runtime.name} cannot be held against that"
        )
    needed = tuple(map(int, match.groups()))
    if needed > runtime.opens_up_to:
        raise InputError(
            f"{entry.file} opens from {entry.opens_from} on, and this app's runtime is {runtime.name}, which is older: "
            "it would refuse the file on the phone. Take another recipe, or give the app a newer runtime"
        )
    if seen_refusing(entry, runtime):
        raise InputError(
            f"{entry.file}: {runtime.name} was seen to refuse depthwise convolutions with weights in half precision, "
            "so that the file does not open. Take int8-weights, or another LiteRT"
        )
