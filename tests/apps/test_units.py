"""The unit of a question has the same word in the three apps, in each of their languages."""

from __future__ import annotations

import json
import re

from edge.nine_questions import QUESTIONS
from tests._sources import ROOT

APPS = ROOT / "apps"
LANGUAGES = {"en": "values", "de": "values-de"}


def in_android(language: str) -> dict[str, str]:
    folder = APPS / "android_demo/app/src/main/res" / LANGUAGES[language]
    return dict(re.findall(r'<string name="unit_(\w+)">(.+)</string>', (folder / "strings.xml").read_text("utf-8")))


def in_ios(language: str) -> dict[str, str]:
    strings = json.loads((APPS / "ios_demo/Demo/App/Localizable.xcstrings").read_text("utf-8"))["strings"]
    units = {name.removeprefix("unit_"): entry for name, entry in strings.items() if name.startswith("unit_")}
    return {name: entry["localizations"][language]["stringUnit"]["value"] for name, entry in units.items()}


def in_the_page() -> dict[str, str]:
    told = re.search(r"UNITS = \{de: new Map\((.+)\)\}", (APPS / "web_demo/texts.js").read_text("utf-8"))
    assert told
    return dict(json.loads(told[1].replace("'", '"')))


def test_a_unit_is_said_in_the_users_language() -> None:
    german = in_the_page()
    assert german["years"] == "Jahre" and {question.unit for question in QUESTIONS} - {None} <= german.keys()
    assert in_android("de") == in_ios("de") == german
    assert in_android("en") == in_ios("en") == {unit: unit for unit in german}  # as manifests have them


def test_each_unit_is_looked_up() -> None:
    kotlin = (APPS / "android_demo/app/src/main/kotlin/dermedge/app/Sentences.kt").read_text("utf-8")
    swift = (APPS / "ios_demo/Demo/App/Lesion.swift").read_text("utf-8")
    for unit in in_the_page():
        assert f'"{unit}" to R.string.unit_{unit}' in kotlin and f'case "{unit}": ' in swift
        assert f'localized: "unit_{unit}"' in swift
