"""Rows of numbers, and the page that shows them."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.questions.zoo.rounds import WARM_UP, Measured
from edge.report.markdown import heading, line
from edge.report.strict import plain as strict
from edge.report.words import number

from ._files import Candidate

# Figures of the audit that are shown.
COUNTED = (
    "largest_rank", "layout_operators", "macs", "macs_8bit", "macs_weights", "xnnpack_partitions",
    "peak_activation_bytes",
)  # fmt: skip
EIGHT_BITS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")  # as in /proc/cpuinfo


def row(
    candidate: Candidate,
    path: Path,
    measured: Mapping[int, Measured],
    plain: Mapping[int, Measured],
    compared: Mapping[str, Any],
) -> dict:
    """Everything that is known of one file, as strict JSON. `measured` and `plain`: by number of threads."""
    from convert._tflite.audit import audit

    made_of = audit(path)
    size = len(candidate.content)
    return strict(
        {
            "file": candidate.name,
            "by": candidate.by,
            "bytes": size,
            "parameters": candidate.parameters,
            "bytes_per_parameter": size / candidate.parameters,
            "threads": {threads: took(m, plain[threads]) for threads, m in measured.items()},
            **compared,
            **{key: getattr(made_of, key) for key in COUNTED},
            "share_8bit": made_of.share_8bit,
            "operators": sum(made_of.operators.values()),
        }
    )


def took(measured: Measured, plain: Measured) -> dict:
    """Median and quartiles, memory, and the median over rounds of the ratio to the plain file in the same round."""
    times = np.array(measured.milliseconds)
    low, middle, high = (float(v) for v in np.percentile(times, (25, 50, 75)))
    return {
        "ms": middle,
        "ms_quartiles": [low, high],
        "ratio_to_plain": float(np.median(times / np.array(plain.milliseconds))),
        "peak_memory_bytes": measured.memory,
        "memory_before_bytes": measured.memory_before,
    }


def markdown(report: Mapping[str, Any]) -> str:
    """`report`: what tflite.json holds."""
    rows, data = report["rows"], report["data"]
    counts = list(rows[0]["threads"])
    first = rows[0]["threads"][counts[0]]
    kind = "synthetic images" if data["synthetic"] else "photographs of patients that the model never saw"
    weights = "" if report["trained"] else ", random weights"
    return "\n".join(
        [
            f"{report['model']}{weights}, {report['side']} x {report['side']}, {report['rounds']} rounds after "
            f"{WARM_UP} of warm-up, {report['machine']}",
            "",
            *speed_table(rows, counts),
            "",
            f"SQNR and agreement: {data['images']} {kind} ({data['name']}); ours and plain against the float torch "
            "model, an 8-bit peer against its own float file. Peers have random weights.",
            f"Peak memory is the process's, with {threads_in_words(counts[0])}; "
            f"{megabytes(first['memory_before_bytes'])} of it are there before a file is opened.",
            "",
            *content_table(rows),
            "",
        ]
    )


def speed_table(rows: Sequence[Mapping[str, Any]], counts: Sequence[str]) -> list[str]:
    times = [part for n in counts for part in (f"ms, {threads_in_words(n)}: median [quartiles]", "of plain")]
    lines = heading("file", "bytes", "bytes per parameter", *times, "peak memory", "SQNR, dB", "agreement")
    for r in rows:
        cells = [r["file"], f"{r['bytes']:,}", f"{r['bytes_per_parameter']:.2f}"]
        for n in counts:
            low, high = r["threads"][n]["ms_quartiles"]
            cells.append(f"{r['threads'][n]['ms']:.2f} [{low:.2f}, {high:.2f}]")
            cells.append(f"{r['threads'][n]['ratio_to_plain']:.2f}")
        cells.append(megabytes(r["threads"][counts[0]]["peak_memory_bytes"]))
        cells += [number(r, "sqnr_db_median", "dB", bare=True), number(r, "agreement", "share")]
        lines.append(line(cells))
    return lines


def content_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = heading(
        "file", "operators", "TRANSPOSE, RESHAPE", "rank", "XNNPACK pieces", "million MACs", "8-bit layers",
        "peak activations", "float file written",
    )  # fmt: skip
    for r in rows:
        counted = (r["operators"], r["layout_operators"], r["largest_rank"], r["xnnpack_partitions"])
        share = f"{r['share_8bit'] or 0:.0%}"
        memory = megabytes(r["peak_activation_bytes"])
        lines.append(line([r["file"], *(str(n) for n in counted), f"{r['macs'] / 1e6:.0f}", share, memory, r["by"]]))
    return lines


def threads_in_words(count: str) -> str:
    return f"{count} thread{'' if count == '1' else 's'}"


def megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def machine() -> str:
    """Processor kind and its instructions for products, where the system says."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    flags = next((set(row.split()) for row in text.splitlines() if row.startswith(("flags", "Features"))), set())
    return f"{platform.machine()} ({', '.join(name for name in EIGHT_BITS if name in flags) or 'plain'})"
