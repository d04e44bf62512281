"""Every runtime that could run a .tflite here: what is set up, and by name what is not."""

from __future__ import annotations

from edge.environments import Environment, is_set_up
from edge.errors import InputError
from edge.phones import android, home, legacy, processor
from edge.runtimes.litert import MODES, PHONES
from edge.runtimes.open import modes_of

FORCED_FP16 = "xnnpack-fp16"


def ways() -> list[str]:
    """The modes of a .tflite, those of this process first; of Android's library each version that is set up.

    What is listed in `edge.runtimes.litert` appears here by itself.
    """
    versions = sorted(folder.name.removeprefix("android-") for folder in home().glob("android-*") if folder.is_dir())
    older = [
        f"{library}:{version}"
        for library in ("android", "android-x86_64")
        for version in versions
        if version != android.TFLITE
    ]
    for library, env in earlier():
        version = env.name.removeprefix(f"{library}-").split("-")[0]
        if is_set_up(env):
            older.append(f"{library}:{version}" + (f":{processor.DEFAULT}" if env.foreign else ""))
    known = {mode.partition(":")[0] for mode in older}
    libraries = [library for library in PHONES if library not in legacy.LIBRARIES or library not in known]
    listed = [*modes_of("tflite"), *MODES, *libraries, *older]
    return list(dict.fromkeys(listed))


def earlier() -> list[tuple[str, Environment]]:
    """Environments of earlier interpreters; none but on Linux, for which alone their wheels are locked."""
    try:
        return legacy.every_environment()
    except InputError:
        return []
