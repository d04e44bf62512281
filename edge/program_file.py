"""The file of an exported program, read as hostile: what torch gets to see of it is made anew from checked parts.

torch would run pickles, call any function that an operation names, import any module that a structure names, write
names into Python source that it compiles, and evaluate shapes that are written as expressions. And it reads archives
otherwise than Python does. So every text is held against what it is for, and the archive is packed again.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from edge.errors import InputError

MAX_BYTES = 2 * 2**30
MAX_JSON_BYTES = 64 * 2**20
AGAIN = "convert the network again with dermedge"

# Members of the archive, behind the name of its top folder. Weights and constants are raw bytes.
MEMBERS = re.compile(
    r"models/model\.json|data/(weights|constants)/(weight_\d+|tensor_\d+|model_(weights|constants)_config\.json)"
    r"|data/sample_inputs/model\.pt|archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
)
PROGRAM = "models/model.json"
EMPTY = "data/sample_inputs/model.pt"  # would be a pickle; ours has none

OPERATION = re.compile(  # of aten all but what touches files
    r"torch\.ops\.aten\.(?:__(?:and|or|xor)__|(?!__|from_file\.|save\.)\w+)\.(?!__)\w+|_operator\.getitem"
)
TENSOR_FILE = re.compile(r"(weight|tensor)_\d+")
IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)  # ends up bare in source that torch compiles
NAME = re.compile(r"(?!.*__\w+__)[^\"'\\\x00-\x1f\x7f]{0,500}")  # ends up in quotes there
FREE = {"as_string", "torch_version", "nn_module_stack"}  # texts that stay texts
KEPT_OF_NODES = ("nn_module_stack",)  # says which module an operation comes from
STRUCTURES = {None, "builtins.tuple", "builtins.list", "builtins.dict"}  # of inputs and outputs


def checked(content: bytes, *, where: str) -> bytes:
    """The archive packed anew, with ATen operations and raw tensors alone; InputError that names `where` otherwise."""
    members = read_members(content, where)
    for name, text in members.items():
        if name.endswith(".json"):
            members[name] = json.dumps(checked_document(text, f"{where}: {name}")).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, part in members.items():
            archive.writestr(f"archive/{name}", part)
    return packed.getvalue()


def read_members(content: bytes, where: str) -> dict[str, bytes]:
    """Name without the top folder -> bytes; InputError for anything that a plain program does not have."""
    if len(content) > MAX_BYTES:
        raise InputError(f"{where} is larger than {MAX_BYTES} bytes; expected the network of a phone model")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            names = [entry.filename.partition("/")[2] for entry in entries]
            strange = [name for name in names if not MEMBERS.fullmatch(name)]
            if strange or not {PROGRAM, EMPTY} <= set(names):
                raise InputError(f"{where} holds {(strange or ['nothing'])[0]!r}, expected a plain program; {AGAIN}")
            if len(set(names)) != len(names):
                raise InputError(f"{where} holds a part twice; {AGAIN}")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise InputError(f"{where} is compressed, expected a plain program; {AGAIN}")
            if sum(entry.file_size for entry in entries) > len(content):
                raise InputError(f"{where} claims to be larger than it is; {AGAIN}")
            members = {name: archive.read(entry) for name, entry in zip(names, entries, strict=True)}
    except InputError:
        raise
    except (zipfile.BadZipFile, KeyError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{where} is no exported program ({type(error).__name__}: {error}); {AGAIN}") from error
    if members[EMPTY]:
        raise InputError(f"{where} holds {EMPTY!r}, a pickle, which is never read; {AGAIN}")
    return members


def checked_document(text: bytes, where: str) -> Any:
    """The value of a JSON member, without what nobody needs; InputError for a text that is not what its key is for."""
    if len(text) > MAX_JSON_BYTES:
        raise InputError(f"{where} is larger than {MAX_JSON_BYTES} bytes")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON ({type(error).__name__}); {AGAIN}") from error
    for key, value in walk(document):
        if key == "metadata" and isinstance(value, dict):
            for name in set(value) - set(KEPT_OF_NODES):
                del value[name]
    for key, value in walk(document):
        fault = fault_of(key, value)
        if fault:
            raise InputError(f"{where}: {fault}; {AGAIN}")
    return document


def fault_of(key: str, value: Any) -> str | None:
    """What is wrong with a value under a key, in words; None for nothing."""
    shown = f"{str(value)[:80]!r}"
    if not NAME.fullmatch(key):
        return f"has the name {key[:80]!r}, expected letters, digits, dots and _"
    if key == "use_pickle" and value is not False:
        return "holds a pickle, which is never read"
    if key == "guards_code" and value:
        return "brings code of its own"
    if key in {"as_expr", "expr_str"}:
        return "has shapes that are expressions, expected fixed ones"
    if key == "path_name" and not (isinstance(value, str) and TENSOR_FILE.fullmatch(value)):
        return f"names {shown} for a tensor"
    if key == "target" and not (isinstance(value, str) and OPERATION.fullmatch(value)):
        return f"calls {shown}, expected ATen operations alone"
    if key in {"in_spec", "out_spec"} and not is_plain_structure(value):
        return f"has inputs or outputs of an unknown kind ({shown})"
    if key in {"name", "forward_arg_names"} and not all(IDENTIFIER.fullmatch(text) for text in texts(value)):
        return f"has the name {shown}, expected letters, digits and _"
    if key not in FREE | {"in_spec", "out_spec"} and not all(NAME.fullmatch(text) for text in texts(value)):
        return f"has the text {shown} at {key}"
    return None


def texts(value: Any) -> list[str]:
    """The text itself, or those of a list; empty otherwise (what lies deeper comes with a key of its own)."""
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def is_plain_structure(value: Any) -> bool:
    """Whether a text describes tuples, lists and dictionaries alone; torch imports what other kinds name."""
    if value is None:
        return True
    try:
        version, root = json.loads(value)
        waiting, count = [root], 0
        while waiting:
            part = waiting.pop()
            names = [] if part["context"] is None else json.loads(part["context"]) or []
            plain = isinstance(names, list) and all(isinstance(n, str) and IDENTIFIER.fullmatch(n) for n in names)
            if part["type"] not in STRUCTURES or not plain:
                return False
            waiting += part["children_spec"]
            count += 1
        return version == 1 and count < 10_000
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of every object in a JSON value, with what stands there; a list in a list comes with its key."""
    waiting = [("", value)]
    while waiting:
        key, item = waiting.pop()
        if isinstance(item, dict):
            yield from item.items()
            waiting += item.items()
        elif isinstance(item, list):
            waiting += [(key, part) for part in item]
            yield from ((key, part) for part in item if isinstance(part, list))
