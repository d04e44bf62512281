"""All settings of a training as one TOML file, in the words of its flags: read again, with flags that count for more.

    model = "hierattn_xs"
    data = "photographs"
    [split]
    folds = 5
    [recipe]
    stages = "64x40,128x60"
    [machine]
    precision = "auto"

What a file leaves out has its usual value; a flag beside `--config` counts for more than the file.
"""

from __future__ import annotations

import argparse
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dermedge._api.settings import SCHEMA, tables
from edge.errors import InputError, did_you_mean

MOST_BYTES = 2**18


def read_flags(argv: Sequence[str] | None, parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What the command line says, else the file of `--config`; InputError for what is wrong in that."""
    args = parser.parse_args(argv)
    if args.config is not None:
        stated = read(args.config, {action.dest: action for action in parser._actions})
        args = argparse.Namespace(**{**vars(args), **stated, **typed(argv, parser)})
    if args.data is None:
        parser.error("the following arguments are required: --data")
    return args


def typed(argv: Sequence[str] | None, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """What the command line itself says, without the usual values of what it does not."""
    usual = {action: action.default for action in parser._actions}
    set_apart, parser._defaults = parser._defaults, {}
    try:
        for action in usual:
            action.default = argparse.SUPPRESS
        return vars(parser.parse_args(argv))
    finally:
        parser._defaults = set_apart
        for action, value in usual.items():
            action.default = value


def read(path: Path, actions: Mapping[str, argparse.Action]) -> dict[str, Any]:
    """The values in a file, as flags would have set them; InputError that names a key that is none, or wrong."""
    known = tables(actions)
    values: dict[str, Any] = {}
    for key, value in parsed(path).items():
        if isinstance(value, dict) and key not in known[""]:
            if key not in known:
                raise InputError(f"{path}: no table is called [{key}]{did_you_mean(key, [*known][1:])}")
            for name, own in value.items():
                check_known(path, name, f"[{key}]", known[key])
                values[known[key][name]] = own
        elif key == "schema":
            if value != SCHEMA:
                raise InputError(f"{path}: the schema is {value!r:.40}, expected {SCHEMA!r}")
        else:
            check_known(path, key, "its top", known[""])
            values[known[""][key]] = value
    return {flag: as_flag(path, actions[flag], value) for flag, value in values.items()}


def check_known(path: Path, key: str, place: str, known: Mapping[str, str]) -> None:
    if key not in known:
        raise InputError(f"{path}: {place} has no key {key!r}{did_you_mean(key, known)}; it has {', '.join(known)}")


def parsed(path: Path, *, called: str = "config") -> dict[str, Any]:
    """InputError for a file that is not there, too large, or no TOML; `called` is the parameter that names it."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise InputError(f"{path} has more than {MOST_BYTES} bytes; settings are a page of TOML")
        return tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        kind = {"config": "settings as run.toml"}.get(called, "TOML")
        raise InputError(f"cannot read {path}: {error.strerror}; `{called}` is a file of {kind}") from error
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # no TOML, or no text
        raise InputError(f"{path} is no TOML file ({str(error)[:200]})") from error


def as_flag(path: Path, action: argparse.Action, value: object) -> Any:
    """A value of a file as the flag's own; InputError for another kind, and for what the flag would refuse."""
    flag = action.option_strings[-1]
    if isinstance(action, argparse._AppendAction):
        if not isinstance(value, list) or not all(isinstance(own, str) for own in value):
            raise InputError(f"{path}: {flag} is a list of texts, got {value!r:.80}")
        return [converted(path, action, own) for own in value]
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise InputError(f"{path}: {flag} is true or false, got {value!r:.80}")
        return value
    if action.type in (int, float):
        whole = action.type is int
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if isinstance(value, int | float) and number and math.isfinite(value):
            return value if whole else float(value)
        raise InputError(f"{path}: {flag} is {'a whole' if whole else 'a'} number, got {value!r:.80}")
    if not isinstance(value, str):
        raise InputError(f"{path}: {flag} is a text, got {value!r:.80}")
    if action.choices and value not in action.choices:
        raise InputError(f"{path}: {flag} is one of {', '.join(action.choices)}, got {value!r:.80}")
    return converted(path, action, value)


def converted(path: Path, action: argparse.Action, text: str) -> Any:
    try:
        return action.type(text) if callable(action.type) else text
    except argparse.ArgumentTypeError as error:
        raise InputError(f"{path}: {action.option_strings[-1]}: {error}") from error


def differing(args: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """The settings that are not the usual ones, as flags, in a line."""
    words = []
    for flag in (flag for keys in tables(vars(args)).values() for flag in keys.values()):
        value = getattr(args, flag)
        if value is not None and value != parser.get_default(flag):
            name = f"--{flag.replace('_', '-')}"
            several = value if isinstance(value, list) else [value]
            words += [name] if value is True else [f"{name} {own}" for own in several]
    return " ".join(words)
