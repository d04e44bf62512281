"""build_apk.py [--gpu] OUT [ASSETS]: this app's signed APKs without Gradle, from Maven Central's TFLite (`make apk`).

Needs of Debian: openjdk-17-jdk-headless, maven, aapt, zipalign, apksigner, dexdump, binutils. Maven fetches some 300 MB
the first time, to DERMEDGE_M2 or else ~/.m2/repository. The model is in ASSETS/model (app/src/main/assets beside this
file, where `dermedge bundle BUILD --app android --out apps/android_demo` puts it). OUT gets an APK with three
processors and one for arm64 alone, and OUT/work what tests of the app on Android's framework need. With --gpu, which
Android Studio calls a flavour, the app has TFLite's GPU delegate too, and a screen to choose it.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MAIN = HERE / "app" / "src" / "main"
PACKAGE = "dermedge.app"
APPLICATION = "dermedge.demo"
VERSION = (1, "1.0")
LEAST_API, TARGET_API = 28, 35
TFLITE = "2.16.1"  # the newest on Maven Central
KOTLIN = "2.3.21"
FRAMEWORK = "org.robolectric:android-all:15-robolectric-13954326:jar"  # to compile against: no SDK is served there
RESOURCES = "org.robolectric:android-all:14-robolectric-10818077:jar"  # Debian's aapt2 does not read newer ones
R8 = "com.android.tools:r8:8.13.19:jar"
ARCHIVES = (f"org.tensorflow:tensorflow-lite:{TFLITE}:aar", f"org.tensorflow:tensorflow-lite-api:{TFLITE}:aar")
GPU_ARCHIVES = (f"org.tensorflow:tensorflow-lite-gpu:{TFLITE}:aar", "org.tensorflow:tensorflow-lite-gpu-api:2.14.0:aar")
APKS = {"": ("arm64-v8a", "armeabi-v7a", "x86_64"), "-arm64": ("arm64-v8a",)}
# Libraries of the phone that the delegate looks for; from API 31 on an app sees those alone that it names.
OPENCL = "".join(
    f'<uses-native-library android:name="{name}" android:required="false" />\n'
    for name in ("libOpenCL.so", "libOpenCL-car.so", "libOpenCL-pixel.so")
)
PROGRAMS = {
    "mvn": "maven", "javac": "openjdk-17-jdk-headless", "aapt2": "aapt", "zipalign": "zipalign",
    "apksigner": "apksigner", "dexdump": "dexdump", "nm": "binutils",
}  # fmt: skip
JAVA = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xss4m", "-Xmx2g"]  # short runs: no second compiler
RUNTIME = """<resources>
    <string name="runtime_library" translatable="false">tflite</string>
    <string name="runtime_version" translatable="false">{version}</string>
</resources>
"""
PAGE, WORD = 16384, 4  # bytes that native libraries, and other stored files, begin at a multiple of
ALIGNMENT = 0xD935  # the field of a zip entry that apksigner keeps the alignment by
LONGEST_S = 1800  # of a download or of a program
DEPENDENCY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
TIME = (1981, 1, 1, 1, 1, 2)  # of every entry, so that two builds are alike


def run(*command: object) -> str:
    """What a program prints; ends the build with what it said where it fails, or where it takes too long."""
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        sys.exit(f"{command[0]} was stopped after {LONGEST_S} s")
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def repository() -> Path:
    """Maven's; not of M2 or M2_HOME, which are by custom where Maven itself lies."""
    return Path(os.environ.get("DERMEDGE_M2") or Path.home() / ".m2" / "repository")


def fetched(artifact: str) -> Path:
    """A file of Maven's repository, downloaded where it is not there yet."""
    group, name, version, kind = artifact.split(":")
    path = repository().joinpath(*group.split("."), name, version, f"{name}-{version}.{kind}")
    if not path.is_file():
        run("mvn", "-q", "-B", f"-Dmaven.repo.local={repository()}", f"{DEPENDENCY}:get", "-Dtransitive=false",
            f"-Dartifact={artifact}")  # fmt: skip
    return path


def class_path(pom: str, work: Path) -> list[Path]:
    """What a pom beside this file depends on, jars and archives."""
    listed = work / f"{pom}.classpath"
    if not listed.is_file():
        run("mvn", "-q", "-B", f"-Dmaven.repo.local={repository()}", "-f", HERE / pom, f"{DEPENDENCY}:build-classpath",
            f"-Dmdep.outputFile={listed}")  # fmt: skip
    return [Path(path) for path in listed.read_text().strip().split(":")]


def joined(paths: list[Path]) -> str:
    return ":".join(map(str, paths))


def unpacked(work: Path, archives: tuple[str, ...]) -> list[Path]:
    """The classes of TFLite's archives; their native libraries go to work/natives."""
    jars = []
    for number, artifact in enumerate(archives):
        with zipfile.ZipFile(fetched(artifact)) as archive:
            jars.append(work / f"tflite-{number}.jar")
            jars[-1].write_bytes(archive.read("classes.jar"))
            for name in archive.namelist():
                if name.startswith("jni/") and name.endswith(".so"):
                    target = work / "natives" / name.removeprefix("jni/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(name))
    return jars


def linked(work: Path, *, gpu: bool) -> Path:
    """Resources and assets as an APK without code; work/generated gets R.java."""
    code, name = VERSION
    head = f'package="{PACKAGE}" android:versionCode="{code}" android:versionName="{name}"'
    manifest = (MAIN / "AndroidManifest.xml").read_text("utf-8").replace("<manifest ", f"<manifest {head} ")
    if gpu:
        manifest = manifest.replace("</application>", f"{OPENCL}</application>")
    (work / "AndroidManifest.xml").write_text(manifest, "utf-8")
    values = work / "res" / "values"
    values.mkdir(parents=True)
    (values / "runtime.xml").write_text(RUNTIME.format(version=TFLITE))
    parts = []
    for number, folder in enumerate((MAIN / "res", work / "res")):
        parts.append(work / f"res-{number}.zip")
        run("aapt2", "compile", "--dir", folder, "-o", parts[-1])
    bare = work / "bare.apk"
    known = ["--warn-manifest-validation"] if gpu else []  # Debian's aapt2 is older than uses-native-library
    run("aapt2", "link", "-I", fetched(RESOURCES), "--manifest", work / "AndroidManifest.xml", "-A", work / "assets",
        "-0", "tflite", "-0", "png", "--java", work / "generated", "--rename-manifest-package", APPLICATION,
        "--min-sdk-version", LEAST_API, "--target-sdk-version", TARGET_API, "-o", bare, *known,
        *parts)  # fmt: skip
    return bare


def compiled(work: Path, tflite: list[Path], *, gpu: bool) -> Path:
    """core, infer and app as one jar of classes for Java 8."""
    classes = work / "classes"
    classes.mkdir()
    run("javac", "-nowarn", "--release", "8", "-Xlint:-options", "-d", classes, *(work / "generated").rglob("*.java"))
    kotlin = class_path("kotlinc.pom.xml", work)
    against = [classes, fetched(FRAMEWORK), *tflite, standard_library(work)]
    run(*JAVA, "-cp", joined(kotlin), "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-no-stdlib", "-no-reflect",
        "-jvm-target", "1.8", "-Xjdk-release=1.8", "-Xnullability-annotations=@android.annotation:warn",
        "-Xsuppress-deprecated-jvm-target-warning", "-cp", joined(against), "-d", classes,
        *(HERE / part / "src/main/kotlin" for part in ("core", "infer", "app")),
        HERE / "infer/src" / ("gpu" if gpu else "cpu") / "kotlin")  # fmt: skip
    jar = work / "app.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        for path in sorted(classes.rglob("*.class")):
            archive.write(path, path.relative_to(classes))
    return jar


def standard_library(work: Path) -> Path:
    return next(path for path in class_path("kotlinc.pom.xml", work) if path.name.startswith("kotlin-stdlib-"))


def shrunk(work: Path, jars: list[Path]) -> list[Path]:
    """The dex files of what the app uses."""
    dex = work / "dex"
    dex.mkdir()
    jdk = Path(shutil.which("javac") or "").resolve().parents[1]
    rules = work / "components.pro"  # what the manifest names is kept
    named = set(re.findall(r'android:name="(dermedge\.\w+\.\w+)"', (work / "AndroidManifest.xml").read_text("utf-8")))
    rules.write_text("".join(f"-keep class {name} {{ <init>(); }}\n" for name in sorted(named)))
    run(*JAVA, "-cp", fetched(R8), "com.android.tools.r8.R8", "--release", "--min-api", LEAST_API, "--lib",
        fetched(FRAMEWORK), "--lib", jdk, "--pg-conf", HERE / "keep.pro", "--pg-conf", rules, "--output", dex,
        *jars)  # fmt: skip
    return sorted(dex.glob("*.dex"))


def mangled(name: str) -> str:
    """A Java name as the native interface spells it."""
    return name.replace("_", "_1").replace("/", "_").replace("$", "_00024")


def check_natives(dex: list[Path], folder: Path) -> None:
    """Ends the build where a native method of the dex has no function in a processor's libraries."""
    methods, owner, name = set(), "", ""
    for line in "".join(run("dexdump", path) for path in dex).splitlines():
        if "Class descriptor" in line:
            owner = line.split("'")[1][1:-1]
        elif line.strip().startswith("name "):
            name = line.split("'")[1]
        elif line.strip().startswith("access ") and "NATIVE" in line:
            methods.add(f"Java_{mangled(owner)}_{mangled(name)}")
    libraries = sorted(folder.glob("*.so"))
    listed = "".join(run("nm", "-D", "--defined-only", library) for library in libraries)
    missing = sorted(methods - {line.split()[-1].partition("@")[0] for line in listed.splitlines() if line})
    if missing or not methods:
        sys.exit(f"{folder.name} lacks {', '.join(missing) or 'all'} of {len(methods)} native methods")
    print(f"{len(methods)} native methods, each in {folder.name}/{', '.join(library.name for library in libraries)}")


def packed(bare: Path, dex: list[Path], natives: Path, processors: tuple[str, ...], target: Path) -> None:
    """One zip of all parts; stored ones begin where Android maps them from."""
    with zipfile.ZipFile(bare) as source, zipfile.ZipFile(target, "w") as archive:
        for old in source.infolist():
            add(archive, old.filename, source.read(old), stored=old.compress_type == zipfile.ZIP_STORED)
        for path in dex:
            add(archive, path.name, path.read_bytes(), stored=False)
        for processor in processors:
            for path in sorted((natives / processor).glob("*.so")):
                add(archive, f"lib/{processor}/{path.name}", path.read_bytes(), stored=True)


def add(archive: zipfile.ZipFile, name: str, content: bytes, *, stored: bool) -> None:
    entry = zipfile.ZipInfo(name, TIME)
    entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    if stored:
        multiple = PAGE if name.endswith(".so") else WORD
        assert archive.fp is not None
        begin = archive.fp.tell() + 30 + len(name.encode()) + 6
        gap = -begin % multiple
        entry.extra = struct.pack("<HHH", ALIGNMENT, 2 + gap, multiple) + bytes(gap)
    archive.writestr(entry, content)


def signed(plain: Path, target: Path, key: Path) -> None:
    """By a key that is made here: for trying out, not for a shop. The target is there once that is verified."""
    if not key.is_file():
        made = plain.with_name(key.name)
        run("keytool", "-genkeypair", "-keystore", made, "-storepass", "android", "-keypass", "android", "-alias",
            "debug", "-dname", "CN=debug", "-keyalg", "RSA", "-keysize", "2048", "-validity", "9999")  # fmt: skip
        os.replace(made, key)
    run("zipalign", "-c", "-p", "4", plain)
    trial = plain.with_name(target.name)
    run("apksigner", "sign", "--ks", key, "--ks-pass", "pass:android", "--v1-signing-enabled", "false",
        "--v4-signing-enabled", "false", "--min-sdk-version", LEAST_API, "--out", trial, plain)  # fmt: skip
    run("apksigner", "verify", "--min-sdk-version", LEAST_API, trial)
    os.replace(trial, target)


def main() -> None:
    gpu = sys.argv[1:2] == ["--gpu"]
    paths = sys.argv[2 if gpu else 1 :]
    if len(paths) not in (1, 2) or any(path.startswith("-") for path in paths):
        sys.exit(__doc__)
    assets = Path(paths[1] if len(paths) == 2 else MAIN / "assets").resolve()
    missing = [
        f"{program} (apt-get install {package})" for program, package in PROGRAMS.items() if not shutil.which(program)
    ]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}")
    if not (assets / "model" / "manifest.json").is_file():
        sys.exit(f"no model in {assets}: dermedge bundle BUILD --app android --out apps/android_demo")
    out = Path(paths[0]).resolve()
    work = out / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "assets").symlink_to(assets)
    tflite = unpacked(work, (*ARCHIVES, *GPU_ARCHIVES) if gpu else ARCHIVES)
    bare = linked(work, gpu=gpu)
    jar = compiled(work, tflite, gpu=gpu)
    dex = shrunk(work, [jar, *tflite, standard_library(work)])
    for processor in APKS[""]:
        check_natives(dex, work / "natives" / processor)
    for ending, processors in APKS.items():
        name = f"dermedge-demo{'-gpu' if gpu else ''}{ending}"
        packed(bare, dex, work / "natives", processors, work / f"{name}.unsigned.apk")
        signed(work / f"{name}.unsigned.apk", out / f"{name}.apk", out / "debug.keystore")
        print(f"{out / name}.apk: {(out / f'{name}.apk').stat().st_size / 1e6:.1f} MB, {', '.join(processors)}")


if __name__ == "__main__":
    main()
