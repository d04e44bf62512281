"""Locked environments: built from their lock alone, apart from ours, reused, and nothing half-built."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from edge import environments
from edge.environments import Environment, environment, facts, folder_of, interpreter, is_set_up, python_in, set_up
from edge.errors import InputError

OURS = ".".join(map(str, __import__("sys").version_info[:2]))


def wheel(folder: Path, tag: str = "py3-none-any", value: str = "1") -> str:
    """A package `oldtool` 1.0 in a wheel of that tag; the SHA-256 of the file."""
    path = folder / f"oldtool-1.0-{tag}.whl"
    files = {
        "oldtool.py": f"VALUE = {value}\n",
        "oldtool-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: oldtool\nVersion: 1.0\n",
        "oldtool-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},"
        f"{len(text)}"
        for name, text in files.items()
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr("oldtool-1.0.dist-info/RECORD", "\n".join([*record, "oldtool-1.0.dist-info/RECORD,,"]))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and no index; locks and environments lie beside it."""
    for name in ("wheels", "locks"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("DERMEDGE_PHONES", str(tmp_path / "phones"))
    monkeypatch.delenv("DERMEDGE_PYTHON", raising=False)
    monkeypatch.setattr(environments, "LOCKS", tmp_path / "locks")
    interpreter.cache_clear()
    return tmp_path


def locked(shelf: Path, digest: str, name: str = "old") -> Environment:
    (shelf / "locks" / f"{name}.txt").write_text(f"# a comment\noldtool==1.0 \\\n    --hash=sha256:{digest}\n")
    return environment(name, python=OURS)


def test_an_environment_has_what_its_lock_names_and_nothing_of_ours(shelf: Path, monkeypatch) -> None:
    old = locked(shelf, wheel(shelf / "wheels"))
    assert not is_set_up(old)
    folder = set_up(old)
    program = "import oldtool, importlib.util as u; print(oldtool.VALUE, u.find_spec('numpy'))"
    done = subprocess.run([*python_in(folder), "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "None"]
    assert facts(old)["packages"] == {"oldtool": "1.0"}
    lock = shelf / "locks" / "old.txt"
    assert facts(old)["lock_sha256"] == hashlib.sha256(lock.read_bytes()).hexdigest()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    monkeypatch.setattr(environments, "pip", None)  # whoever installs again fails
    assert set_up(old) == folder and is_set_up(old)
    lock.write_text(lock.read_text() + "# another lock is another environment\n")
    assert not is_set_up(old) and folder_of(old) != folder


def test_a_file_that_the_lock_does_not_know_is_refused_and_nothing_stays(shelf: Path) -> None:
    old = locked(shelf, wheel(shelf / "wheels"))
    wheel(shelf / "wheels", value="2")  # another file under the same name and version
    with pytest.raises(InputError, match=r"pip cannot make the environment old .*it says"):
        set_up(old)
    assert not is_set_up(old) and not list(folder_of(old).parent.iterdir())


def test_an_environment_that_does_not_work_is_not_kept(shelf: Path) -> None:
    def broken(folder: Path) -> None:
        raise InputError(f"{(folder / 'bin' / 'python').exists()}: no interpreter inside starts")

    old = locked(shelf, wheel(shelf / "wheels"))
    with pytest.raises(InputError, match="True: no interpreter inside"):
        set_up(old, broken)
    assert not is_set_up(old) and not list(folder_of(old).parent.iterdir())


def test_a_package_without_a_wheel_for_this_python_is_named(shelf: Path) -> None:
    old = locked(shelf, wheel(shelf / "wheels", "cp27-cp27mu-manylinux1_x86_64"))
    with pytest.raises(InputError, match=rf"old \(Python {OURS}, .*No matching distribution found for oldtool==1.0"):
        set_up(old)


def test_another_machine_gets_its_own_wheels(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments.platform, "machine", lambda: "x86_64")
    arm = wheel(shelf / "wheels", "cp311-cp311-manylinux_2_34_aarch64", value="'ARM'")
    wheel(shelf / "wheels", "cp311-cp311-manylinux_2_34_x86_64", value="'x86'")
    locked(shelf, arm)
    emulated = environment("old", machine="aarch64")
    folder = set_up(emulated)
    assert (folder / environments.PACKAGES / "oldtool.py").read_text() == "VALUE = 'ARM'\n"
    assert facts(emulated)["machine"] == "aarch64"
    assert not environment("old", machine="x86_64").foreign


def test_a_python_that_is_not_there_is_named(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked(shelf, "0" * 64)
    with pytest.raises(InputError, match=r"needs Python 3\.2, .*none is on the path; install it"):
        set_up(environment("old", python="3.2"))
    monkeypatch.setenv("DERMEDGE_PYTHON", str(shelf / "nothing"))
    interpreter.cache_clear()
    with pytest.raises(InputError, match=r"nothing, which DERMEDGE_PYTHON names, is none"):
        set_up(environment("old", python=OURS))
    assert not is_set_up(environment("old", python=OURS))


def test_a_lock_that_is_not_there_or_for_another_system_is_named(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked(shelf, "0" * 64)
    with pytest.raises(InputError, match="no locked environment 'new'; there is old"):
        environment("new")
    monkeypatch.setattr(environments.sys, "platform", "darwin")
    with pytest.raises(InputError, match="wheels for Linux; this is darwin"):
        environment("old")


@pytest.mark.parametrize("lock", sorted(environments.LOCKS.glob("*.txt")), ids=lambda path: path.stem)
def test_every_lock_pins_everything_and_names_no_place(lock: Path) -> None:
    lines = [line for line in lock.read_text().splitlines() if not line.startswith("#")]
    packages = "\n".join(lines).replace("\\\n", " ").splitlines()
    assert packages
    for package in packages:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[\w.]+(\s+--hash=sha256:[0-9a-f]{64})+", package), package
    assert "://" not in lock.read_text()
