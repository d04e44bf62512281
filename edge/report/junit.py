"""A report as JUnit XML: a test suite per file and runtime, a test case per check."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from edge.report.words import file_of, in_words

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold


def junit(report: Mapping[str, Any]) -> str:
    """A failed check is a failure; an inconclusive one, or one that was not judged, is skipped with the reason."""
    root = ElementTree.Element("testsuites", name=_legal(f"parity of {report['model']}"))
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for file in report["files"]:
        name = f"{file_of(file)} on {file['runtime']}"
        suite = ElementTree.SubElement(root, "testsuite", name=_legal(name), time="0")
        properties = ElementTree.SubElement(suite, "properties")
        for key in ("recipe", "sha256", "verdict", "images"):
            ElementTree.SubElement(properties, "property", name=key, value=_legal(str(file[key])))
        data = report["data"]["name"] + (" (synthetic)" if report["data"]["synthetic"] else "")
        ElementTree.SubElement(properties, "property", name="data", value=_legal(data))
        counts = dict.fromkeys(totals, 0)
        for check in file["checks"]:
            _case(suite, name, check, counts)
        for key, count in counts.items():
            suite.set(key, str(count))
            totals[key] += count
    for key, count in totals.items():
        root.set(key, str(count))
    root.set("time", "0")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, classname: str, check: Mapping[str, Any], counts: dict[str, int]) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=_legal(classname), name=_legal(check["name"]), time="0")
    counts["tests"] += 1
    words = _legal(in_words(check))
    if check["verdict"] == "fail":
        counts["failures"] += 1
        ElementTree.SubElement(case, "failure", message=words, type="parity").text = words
    elif check["verdict"] != "pass":
        counts["skipped"] += 1
        ElementTree.SubElement(case, "skipped", message=words)
    else:
        ElementTree.SubElement(case, "system-out").text = words


def _legal(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)
