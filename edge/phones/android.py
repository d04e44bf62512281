"""Android's own TFLite library, unchanged, on this machine: x86_64 as it is, arm64-v8a by emulation.

`org.tensorflow:tensorflow-lite` is an archive (AAR) with `libtensorflowlite_jni.so` for each of Android's processors,
which is linked against Android's C library and takes some 125 functions of it. shim.c supplies those that glibc lacks
or means otherwise and passes the rest on; runner.c drives the library by its C API.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edge.errors import InputError
from edge.files import moved_into_place, scratch_in
from edge.patience import PROBE_S, in_time

from . import home, java, not_set_up, processor
from .maven import downloaded

log = logging.getLogger("dermedge")

TFLITE = "2.16.1"  # the newest on Maven Central; LiteRT's own AARs are elsewhere, and `aar` takes one
LIBRARY = "libtensorflowlite_jni.so"
SOURCES = Path(__file__).parent
MOST_BYTES = 64 * 2**20  # of a library
JAVA = "java"
BUILT_FROM = "built-from.sha256"
VARIABLES = {"__sF", "stdin", "stdout", "stderr"}  # that shim.c has
BASE = "LIBC"  # the version that almost all of Android's C library has; newer functions have LIBC_N, LIBC_O, ...
OURS = re.compile(r"REPLACE\((\w+)\)")  # in shim.c: the functions that it supplies itself
CROSS_LIBRARIES = Path("/usr/aarch64-linux-gnu")  # of Debian's cross compiler


@dataclass(frozen=True)
class Architecture:
    folder: str  # in the AAR
    compiler: str
    package: str  # of Debian, with that compiler


ARCHITECTURES = {
    "arm64": Architecture("arm64-v8a", "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"),
    "x86_64": Architecture("x86_64", "gcc", "gcc libc6-dev"),
}


def folder_of(version: str) -> Path:
    return home() / f"android-{version}"


def sources() -> str:
    """Digest of what the folder is built from here; an earlier one means that it is out of date."""
    files = [SOURCES / name for name in ("shim.c", "runner.c", "Runner.java", "android.py", "java.py")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def is_set_up(version: str = TFLITE) -> bool:
    """Whether the library is there, built from the sources as they are now."""
    mark = folder_of(version) / BUILT_FROM
    return mark.is_file() and mark.read_text(encoding="utf-8") == sources()


def set_up(version: str = TFLITE, aar: Path | None = None) -> Path:
    """Download the AAR (or take `aar`), and build the shim and the runner for both architectures; the folder.

    Replaces what an earlier set-up left. An architecture whose library does not start here is left out, and said with
    the function that it misses. Raises InputError where that is true of both, for a version that is not served, for an
    archive without the library, and for a missing compiler.
    """
    if not re.fullmatch(r"[\w.-]{1,40}", version):
        raise InputError(f"a version of TFLite looks like {TFLITE}, got {version!r:.60}")
    if aar is not None and not Path(aar).is_file():
        raise InputError(f"no file {aar}; `aar` is an AAR of org.tensorflow:tensorflow-lite or of LiteRT")
    for architecture in ARCHITECTURES.values():
        if not shutil.which(architecture.compiler):
            raise InputError(f"no {architecture.compiler}: `apt-get install {architecture.package}`")
    target = folder_of(version)
    with scratch_in(home()) as work:
        archive = aar or downloaded("tensorflow-lite", version, work)
        archives = [archive, *([] if aar else java_classes(version, work))]
        with moved_into_place(target) as new:
            refused = []
            for name in ARCHITECTURES:
                (new / name).mkdir(parents=True)
                try:
                    build(name, archive, new / name)
                except InputError as error:  # it takes a function that nothing here supplies
                    refused.append(str(error))
                    shutil.rmtree(new / name)
            if len(refused) == len(ARCHITECTURES):
                raise InputError("; ".join(dict.fromkeys(refused)))
            try:
                (new / JAVA).mkdir()
                java.build(archives, new / JAVA)
            except InputError as error:
                refused.append(str(error))
                shutil.rmtree(new / JAVA)
            (new / BUILT_FROM).write_text(sources(), encoding="utf-8")
            for reason in refused:
                log.warning("left out: %s", reason)
    return target


def java_classes(version: str, folder: Path) -> list[Path]:
    """The archive with the Java classes, which newer versions keep apart; none of older ones."""
    try:
        return [downloaded("tensorflow-lite-api", version, folder)]
    except InputError:
        return []


def build(name: str, archive: Path, target: Path) -> None:
    """The library, the shim under the four names that it asks for, and the runner."""
    architecture = ARCHITECTURES[name]
    (target / LIBRARY).write_bytes(library_in(archive, architecture.folder))
    shim = (SOURCES / "shim.c").read_text(encoding="utf-8")
    imports = imported(target / LIBRARY)
    passed_on = sorted(set(imports) - set(OURS.findall(shim)) - VARIABLES)
    (target / "imports.h").write_text("".join(f"X({symbol})\n" for symbol in passed_on))
    (target / "exports").write_text(versions(imports))
    options = ["-O1", "-fPIC", "-fno-builtin", "-fno-stack-protector", "-shared", f"-I{target}"]
    linker = [f"-Wl,--version-script={target / 'exports'}", "-Wl,-z,now", "-Wl,-Bsymbolic", "-Wl,-soname,libc.so"]
    compiled(
        architecture, [*options, *linker, "-o", target / "libc.so", SOURCES / "shim.c", "-Wl,--no-as-needed", "-lm"]
    )
    for other in ("libm.so", "libdl.so", "liblog.so"):
        (target / other).symlink_to("libc.so")
    compiled(architecture, ["-O2", "-o", target / "runner", SOURCES / "runner.c"])
    probe = [*started(name, target), "/nonexistent", "1", "0"]
    with in_time(f"{archive.name}: its library for {name}"):
        tried = subprocess.run(probe, capture_output=True, text=True, timeout=PROBE_S)
    if "no model" not in tried.stderr:  # the library was opened, and asked for a file
        said = tried.stderr.strip().splitlines()
        raise InputError(f"{archive.name}: its library for {name} does not start here ({said[-1] if said else '?'})")


def library_in(archive: Path, folder: str) -> bytes:
    place = f"jni/{folder}/{LIBRARY}"
    try:
        with zipfile.ZipFile(archive) as parts:
            if parts.getinfo(place).file_size > MOST_BYTES:
                raise InputError(f"{archive}: {place} is above {MOST_BYTES // 2**20} MiB")
            return parts.read(place)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{archive}: no AAR ({error})") from error
    except KeyError as error:
        raise InputError(f"{archive}: no {place} inside; expected an AAR of org.tensorflow:tensorflow-lite") from error


def imported(library: Path) -> dict[str, str]:
    """What a library takes from others -> the version of Android's C library that it asks for; no weak symbols."""
    with in_time("nm"):
        listed = subprocess.run(
            ["nm", "-D", "--undefined-only", library], capture_output=True, text=True, timeout=PROBE_S
        )
    if listed.returncode:
        raise InputError(f"{library.name} cannot be read: {listed.stderr.strip()[:200]}")
    fields = [line.split() for line in listed.stdout.splitlines()]
    names = [name.partition("@") for kind, name in fields if kind == "U"]
    return {name: version.lstrip("@") or BASE for name, _, version in names}


def versions(imports: dict[str, str]) -> str:
    """The linker's version script: each function under the version that the library asks for."""
    newer = {
        version: [name for name, v in imports.items() if v == version] for version in set(imports.values()) - {BASE}
    }
    nodes = [f"{version} {{ global: {'; '.join(sorted(names))}; }};\n" for version, names in sorted(newer.items())]
    return f"{BASE} {{ global: *; }};\n" + "".join(nodes)


def compiled(architecture: Architecture, arguments: list) -> None:
    command = [architecture.compiler, *map(str, arguments)]
    with in_time(architecture.compiler):
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S)
    if done.returncode:
        raise InputError(
            f"{architecture.compiler} failed ({(done.stderr.strip().splitlines() or ['?'])[0][:300]}); "
            f"`apt-get install {architecture.package}` has all that it needs"
        )


def started(name: str, folder: Path, cpu: str = processor.DEFAULT) -> list[str]:
    """The command line up to the library: runner and environment."""
    if name == "x86_64":
        return ["env", f"LD_LIBRARY_PATH={folder}", str(folder / "runner"), str(folder / LIBRARY)]
    emulator = processor.emulated(cpu, CROSS_LIBRARIES, f"LD_LIBRARY_PATH={folder}")
    return [*emulator, str(folder / "runner"), str(folder / LIBRARY)]


def command(
    name: str,
    path: Path,
    *,
    version: str = TFLITE,
    threads: int = 1,
    xnnpack: bool = True,
    cpu: str = processor.DEFAULT,
) -> list[str]:
    """The command line that answers for a .tflite frame by frame, as runner.c says.

    `name`: "arm64", "x86_64" or "java", which is x86-64 too. Raises InputError where that library is not set up.
    """
    folder = folder_of(version) / name
    if not folder.is_dir():
        setup = "dermedge setup android" + ("" if version == TFLITE else f" --tflite {version}")
        raise not_set_up(folder, f"Android's TFLite {version}", setup)
    if name == JAVA:
        return java.command(folder, folder.with_name("x86_64") / LIBRARY, path, threads=threads)
    return [*started(name, folder, cpu), str(path), str(threads), str(int(xnnpack))]
