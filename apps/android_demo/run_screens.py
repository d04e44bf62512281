"""run_screens.py OUT API SHIM PHOTOS RESULTS [TEST...]: the app's screens on Android's framework, with its own library.

OUT is what build_apk.py filled; API is 34, 35 (Java 17) or 36 (Java 21 or newer, by JAVA_HOME); SHIM is the folder that
`dermedge setup android` makes of the library for x86-64; PHOTOS has photo.jpg, which is answered, and files to decode.
What the screens showed goes to RESULTS. Of app/src/test all tests are run, or those named. Maven fetches
some 400 MB the first time.
"""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

from build_apk import FRAMEWORK, HERE, JAVA, class_path, fetched, joined, run, standard_library

VERSIONS = {"34": "14-robolectric-10818077", "35": "15-robolectric-13954326", "36": "16-robolectric-13921718"}
INSTRUMENTED = "org.robolectric:android-all-instrumented:{version}-i7:jar"
SMALL_HEAP = ["LargePhotoTest"]  # what has to do with as little memory as phones give an app
TESTS = "app/src/test/kotlin"
OPEN = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in ("java.lang", "java.lang.reflect", "java.io")]
CONFIG = """android_merged_manifest={work}/AndroidManifest.xml
android_resource_apk={work}/bare.apk
android_merged_assets={work}/assets
android_custom_package=dermedge.app
"""


def jars(work: Path, target: Path) -> list[Path]:
    """What the tests need; of archives their classes."""
    paths = []
    for path in class_path("robolectric.pom.xml", work):
        if path.suffix == ".aar":
            paths.append(target / f"{path.stem}.jar")
            with zipfile.ZipFile(path) as archive:
                paths[-1].write_bytes(archive.read("classes.jar"))
        else:
            paths.append(path)
    return paths


def compiled(work: Path, target: Path, against: list[Path]) -> None:
    run(*JAVA, "-cp", joined(class_path("kotlinc.pom.xml", work)), "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler",
        "-no-stdlib", "-no-reflect", "-jvm-target", "1.8", "-nowarn", "-Xsuppress-deprecated-jvm-target-warning",
        f"-Xfriend-paths={work / 'classes'}", "-cp", joined(against), "-d", target, HERE / TESTS)  # fmt: skip


def main() -> None:
    if len(sys.argv) < 6 or sys.argv[2] not in VERSIONS:
        sys.exit(__doc__)
    out, api, shim, photos, results = (Path(part).resolve() for part in sys.argv[1:6])
    named = sys.argv[6:] or sorted(path.stem for path in (HERE / TESTS).rglob("*Test.kt"))
    work, version = out / "work", VERSIONS[api.name]
    tests, sdk = work / "tests", work / "sdk"
    for folder in (tests / "com/android/tools", sdk, results):
        folder.mkdir(parents=True, exist_ok=True)
    instrumented = fetched(INSTRUMENTED.format(version=version))
    if not (sdk / instrumented.name).exists():
        (sdk / instrumented.name).symlink_to(instrumented)
    app = [work / "classes", *sorted(work.glob("tflite-*.jar")), standard_library(work), *jars(work, tests)]
    framework = fetched(FRAMEWORK)
    if not (tests / "dermedge").is_dir():
        compiled(work, tests, [*app, framework])
    (tests / "com/android/tools/test_config.properties").write_text(CONFIG.format(work=work))
    (tests / "robolectric.properties").write_text(f"sdk={api.name}\n")  # `enabledSdks` filters alone: no test is green
    os.environ["LD_LIBRARY_PATH"] = str(shim)
    java = str(Path(os.environ["JAVA_HOME"], "bin", "java")) if "JAVA_HOME" in os.environ else JAVA[0]
    for heap, names in (("2g", [name for name in named if name not in SMALL_HEAP]), ("256m", SMALL_HEAP)):
        chosen = [f"dermedge.app.{name}" for name in names if name in named]
        if chosen:
            said = run(java, *JAVA[1:], *OPEN, f"-Xmx{heap}", f"-Djava.library.path={shim}",
                       "-Drobolectric.offline=true", f"-Drobolectric.dependency.dir={sdk}", f"-Ddermedge.out={results}",
                       f"-Ddermedge.photos={photos}", "-cp", joined([tests, *app, framework]),
                       "org.junit.runner.JUnitCore", *chosen)  # fmt: skip
            print(said.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
