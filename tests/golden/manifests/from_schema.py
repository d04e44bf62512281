"""What spoils a manifest at each place that edge/manifest.schema.json knows, one thing at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

WRONG: dict[str, Any] = {"string": 7, "number": "7", "integer": "7", "boolean": 0, "array": {}, "object": [], "null": 7}
LONGEST = 3000  # bytes of one case
WIDE = "\U0001d49c"  # one character, which is two in UTF-16 and four bytes in UTF-8
TAKEN_OUT = object()

Spoilt = tuple[str, list[Any], Any, bool]  # name, place, what comes there, whether the manifest is still good


def spoilt(whole: Any, schema: dict[str, Any]) -> list[Spoilt]:
    """One entry for each keyword of the schema at the first place of `whole` where it holds.

    Raises ValueError for a rule that no part of `whole` is under: it has to have every part that a manifest can have.
    """
    walk = Walk(schema)
    entries = list(walk.of(whole, schema, (), []))
    missed = set(rules_of(schema, ())) - walk.seen
    if missed:
        raise ValueError(f"the whole manifest has nothing under {', '.join('/'.join(path) for path in sorted(missed))}")
    return entries


def rules_of(rule: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The path of each rule in the schema that stands there itself, and not by a name of $defs."""
    if "$ref" in rule:
        return
    yield path
    inner = {("properties", key): part for key, part in rule.get("properties", {}).items()}
    inner |= {("$defs", key): part for key, part in rule.get("$defs", {}).items()}
    inner |= {(key,): rule[key] for key in ("items", "additionalProperties") if isinstance(rule.get(key), dict)}
    for key, part in inner.items():
        yield from rules_of(part, (*path, *key))


class Walk:
    def __init__(self, schema: dict[str, Any]) -> None:
        self.defs = schema["$defs"]
        self.seen: set[tuple[str, ...]] = set()

    def of(self, value: Any, rule: dict[str, Any], path: tuple[str, ...], place: list[Any]) -> Iterator[Spoilt]:
        """Of a value under a rule, then of its parts; each rule once."""
        if "$ref" in rule:
            name = rule["$ref"].rpartition("/")[2]
            yield from self.of(value, self.defs[name], ("$defs", name), place)
            return
        new = path not in self.seen and value not in (None, [])  # in which a rule could not be broken
        if new:
            self.seen.add(path)
            name = "/".join(map(str, place)) or "the whole"
            yield from ((f"{name}: {what}", [*place, *at], part, False) for what, at, part in wrong(value, rule))
            most = rule.get("maxLength", 0)
            if 0 < most <= 200 and "pattern" not in rule:
                yield f"{name}: {most} characters", place, WIDE * most, True
        if isinstance(value, dict):
            others, known = rule.get("additionalProperties"), rule.get("properties", {})
            for key, part in value.items():
                if key in known:
                    yield from self.of(part, known[key], (*path, "properties", key), [*place, key])
                elif isinstance(others, dict):
                    yield from self.of(part, others, (*path, "additionalProperties"), [*place, key])
        elif isinstance(value, list) and "items" in rule:
            for i, part in enumerate(value):
                yield from self.of(part, rule["items"], (*path, "items"), [*place, i])


def wrong(value: Any, rule: dict[str, Any]) -> Iterator[tuple[str, list[Any], Any]]:
    """What may not be: words, the place below the value, and what comes there."""
    for key in rule.get("required", []):
        yield f"no {key}", [key], TAKEN_OUT
    if rule.get("additionalProperties") is False:
        yield "a key that nobody knows", ["surprise"], 1
    stated = rule.get("type")
    types = [] if stated is None else [stated] if isinstance(stated, str) else stated
    if types:
        yield "another type", [], WRONG[types[0]]
    if types and "null" not in types:
        yield "null", [], None
    if {"number", "integer"} & set(types):
        yield "true", [], True
    for key in ("const", "enum"):
        if key in rule:
            yield f"another value than {key}", [], "another"
    if "pattern" in rule:
        yield "a line behind it", [], f"{value}\n"
        yield "no letter", [], ""
    for key, beyond in (("minimum", -1), ("maximum", 1), ("exclusiveMinimum", 0), ("exclusiveMaximum", 0)):
        if key in rule:
            limit = rule[key] + beyond
            yield f"{limit}", [], limit
    yield from too_many(value, rule)


def too_many(value: Any, rule: dict[str, Any]) -> Iterator[tuple[str, list[Any], Any]]:
    """Too long, or too short, where that is no long case."""
    candidates: list[tuple[str, Any]] = []
    if "maxLength" in rule and "pattern" not in rule:
        candidates.append(("a character too many", "a" * (rule["maxLength"] + 1)))
    if "minItems" in rule:
        candidates.append(("an entry too few", value[: rule["minItems"] - 1]))
    if "maxItems" in rule:
        candidates.append(("an entry too many", value[:1] * (rule["maxItems"] + 1)))
    if "minProperties" in rule:
        candidates.append(("an entry too few", {}))
    if "maxProperties" in rule:
        first = next(iter(value.values()))
        candidates.append(("an entry too many", value | {f"k{i}": first for i in range(rule["maxProperties"])}))
    for words, part in candidates:
        if len(json.dumps(part)) <= LONGEST:
            yield words, [], part
