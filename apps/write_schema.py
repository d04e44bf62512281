"""Write the rule of manifests into the three apps: `edge/manifest.schema.json` as a literal of each language.

    python apps/write_schema.py            # writes
    python apps/write_schema.py --check    # compares with what is there, exit code 1 if it differs

Words for readers are left out, `$defs` and `$ref` are called `defs` and `ref`, and patterns are of whole texts, without
their anchors, in what Java, ICU and ECMAScript have in common. What the apps' readers would not know is refused here.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

APPS = Path(__file__).resolve().parent
SCHEMA = APPS.parent / "edge" / "manifest.schema.json"
WORDS = {"$schema", "title", "description"}
KNOWN = {
    "type", "enum", "const", "pattern", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minItems", "maxItems", "items", "minProperties", "maxProperties", "required", "properties",
    "additionalProperties", "$ref", "$defs",
}  # fmt: skip
BY_NAME = {"properties", "$defs"}  # hold rules by names of their own
WIDTH = 110
ABOUT = "Written by apps/write_schema.py from edge/manifest.schema.json; do not edit."
PLACES = {  # file below apps/, what stands before and behind the JSON
    "web_demo/core/manifest_schema.js": (f"// {ABOUT}\nexport const MANIFEST_SCHEMA = ", ";\n"),
    "android_demo/core/src/main/kotlin/dermedge/core/ManifestSchema.kt": (
        f'// {ABOUT}\npackage dermedge.core\n\ninternal const val MANIFEST_SCHEMA = """\n', '\n"""\n',
    ),
    "ios_demo/LesionKit/Sources/LesionKit/ManifestSchema.swift": (
        f'// {ABOUT}\nlet manifestSchema = #"""\n  ', '\n  """#\n',
    ),
}  # fmt: skip


def portable(pattern: str) -> str:
    """The pattern of a whole text, with the letters and digits of all languages spelt out."""
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise ValueError(f"{pattern} is no pattern of a whole text")
    inner = pattern[1:-1].replace(r"\w", r"\p{L}\p{N}_")
    if re.search(r'[$"`]|\\[^.pd]|\(\?', inner):
        raise ValueError(f"{pattern} is not the same in all languages")
    return inner


def rule_of(value: Any) -> Any:
    """A rule of the schema as the apps read it."""
    if not isinstance(value, dict):
        return value
    unknown = value.keys() - KNOWN - WORDS
    if unknown:
        raise ValueError(f"the apps' readers do not know {', '.join(sorted(unknown))}")
    result: dict[str, Any] = {}
    for key, part in value.items():
        if key in WORDS:
            continue
        if key in BY_NAME:
            result[key.lstrip("$")] = {name: rule_of(rule) for name, rule in part.items()}
        elif key == "$ref":
            result["ref"] = part.removeprefix("#/$defs/")
        elif key == "pattern":
            result[key] = portable(part)
        else:
            result[key] = rule_of(part)
    return result


def wrapped(text: str) -> str:
    """JSON on lines of a readable length, broken behind commas and brackets outside of texts."""
    lines, line = [], ""
    for token in re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^"\[\]{},:]+|[\[\]{}])[,:]?', text):
        if len(line) + len(token) > WIDTH:
            lines.append(line)
            line = ""
        line += token
    result = "\n".join([*lines, line])
    assert json.loads(result) == json.loads(text)
    return result


def sources() -> dict[Path, str]:
    """The text of each file."""
    rule = rule_of(json.loads(SCHEMA.read_text("utf-8")))
    text = wrapped(json.dumps(rule, ensure_ascii=False, separators=(",", ":")))
    written = {}
    for name, (before, behind) in PLACES.items():
        indent = before.rpartition("\n")[2] if name.endswith(".swift") else ""  # which its compiler takes away
        written[APPS / name] = before + text.replace("\n", f"\n{indent}") + behind
    return written


def main() -> int:
    written = sources()
    if sys.argv[1:] == ["--check"]:
        different = [path for path, text in written.items() if not path.exists() or path.read_text("utf-8") != text]
        print("\n".join(f"{path} differs" for path in different) or "the apps have the schema's rules")
        return 1 if different else 0
    if sys.argv[1:]:
        print(__doc__)
        return 2
    for path, text in written.items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
