"""Write the lock of an environment of its own (`edge/environments.py`): what its requirements resolve to today.

    python benchmarks/lock_environment.py tflite-runtime-2.14.0 tflite-runtime==2.14.0 "numpy<2" --machine x86_64 \
        --machine aarch64

pip resolves the requirements for Python 3.11 on each machine, installing nothing. The lock names every package with
its version and the SHA-256 of the wheels, one for each machine where they differ; it names no place to download from.
Prints the licence that each package states.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.lock_environment`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import json
import shlex
import sys
from pathlib import Path

from dermedge.console import entry, screen
from edge.environments import LOCKS, other_platform, run
from edge.errors import GOOD, InputError
from edge.files import write_text

PROGRAM = Path(__file__).name


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("name", help="of the lock")
    p.add_argument("requirements", nargs="+", help="as pip takes them")
    p.add_argument("--machine", action="append", required=True, help="x86_64 or aarch64; may be repeated")
    p.add_argument("--python", default="3.11", help="default: %(default)s")
    p.add_argument("--out", type=Path, default=LOCKS, help="default: %(default)s")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    resolved = {machine: packages_for(machine, args.python, args.requirements) for machine in args.machine}
    lines = lines_of(resolved)
    flags = [part for machine in args.machine for part in ("--machine", machine)]
    command = shlex.join(["python", f"benchmarks/{PROGRAM}", args.name, *args.requirements, *flags])
    text = f"# Written by: {command}\n# For Python {args.python} on {', '.join(args.machine)}.\n" + "\n".join(lines)
    write_text(args.out / f"{args.name}.txt", text + "\n")
    for package in next(iter(resolved.values())):
        screen().print(f"{package['metadata']['name']}: {licence(package['metadata'])}", markup=False)
    return GOOD


def packages_for(machine: str, python: str, requirements: list[str]) -> list[dict]:
    """What pip's installation report has for each package."""
    said = run([
        sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-",
        "--disable-pip-version-check", "--only-binary=:all:", "--target", "nowhere",
        *other_platform(machine, python), *requirements,
    ])  # fmt: skip
    return json.loads(said)["install"]


def lines_of(resolved: dict[str, list[dict]]) -> list[str]:
    """The lock's lines, by name. InputError where two machines get different versions."""
    digests: dict[str, set[str]] = {}
    for packages in resolved.values():
        for package in packages:
            key = f"{package['metadata']['name'].lower().replace('_', '-')}=={package['metadata']['version']}"
            digests.setdefault(key, set()).add(package["download_info"]["archive_info"]["hashes"]["sha256"])
    names = [key.partition("==")[0] for key in digests]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"the machines get different versions of {', '.join(twice)}; state one in the requirements")
    return [
        " \\\n    ".join([key, *[f"--hash=sha256:{digest}" for digest in sorted(values)]])
        for key, values in sorted(digests.items())
    ]


def licence(metadata: dict) -> str:
    """In one line."""
    classified = [text.rpartition(" :: ")[2] for text in metadata.get("classifier", []) if text.startswith("License")]
    stated = metadata.get("license_expression") or (metadata.get("license") or "").strip().split("\n")[0]
    return "; ".join(classified) or stated or "not stated"


if __name__ == "__main__":
    raise SystemExit(main())
