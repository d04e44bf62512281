"""What was found layer by layer, for a terminal and as a section of the one report. No arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from edge.report import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

WORST = 4  # rows shown beside the first that is off: those nearest to their limit, or furthest beyond
HEADINGS = ("op", "torch module", "own SQNR dB", "at least", "from the model dB", "torch range", "file range")
TOP = 150.0  # dB, the plot's upper end: float32 has 144
STYLE = "#layers svg{max-width:44rem}#layers .off{font-weight:700;color:var(--fail)}"


def headline(one: Mapping[str, Any]) -> str:
    """The answer for one file in a sentence."""
    if one["note"]:
        return f"{one['file']}: {one['note']}"
    if one["first"] is None:
        return f"{one['file']}: no operation loses more than its precision explains ({tally(one)})"
    row = one["rows"][one["first"]]
    also = f", or the operations before it without a counterpart (op {listed(row['around'])})" if row["around"] else ""
    sure = "" if row["confirmed"] else " (the likeliest place: nothing after it agrees with torch either)"
    return (
        f"{one['file']}: leaves the torch model at op {row['op']}, {row['kind']} ({row['name']}), module "
        f"{module(row)}{also}: own SQNR {number(row, 'own_db')} dB, precision explains {number(row, 'least_db')} dB; "
        f"torch {span(row['torch_range'])}, file {span(row['file_range'])}{sure} ({tally(one)})"
    )


def tally(one: Mapping[str, Any]) -> str:
    count = one["counts"]
    text = (
        f"{count['ok']} results compared, {count['off']} off, {count['no counterpart']} without a counterpart in torch"
    )
    return text + f", {count['moves values']} that only move values left out"


def listed(places: Sequence[int]) -> str:
    shown = ", ".join(str(place) for place in places[-4:])
    return shown if len(places) <= 4 else f"… {shown}"


def module(row: Mapping[str, Any]) -> str:
    name = f"{row['module'] or 'around the network'} ({row['torch']}{', ' + row['seen'] if row['seen'] else ''})"
    return name if row["torch"] else "–"


def number(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if value is not None:
        return f"{value:.1f}"
    return {"infinite": "equal", "minus infinite": "-∞"}.get(row.get(f"{key}_is", ""), "–")


def span(limits: Mapping[str, Any] | None) -> str:
    if limits is None:
        return "–"
    broken = f", {limits['not_finite']} not finite" if limits["not_finite"] else ""
    if limits["low"] is None:
        return f"nothing finite{broken}"
    return f"[{limits['low']:.4g}, {limits['high']:.4g}]{broken}"


def shown(one: Mapping[str, Any]) -> list[int]:
    """The first row that is off, and those with the least room to their limit."""
    room = sorted(
        (value(row, "own_db") - value(row, "least_db"), number)
        for number, row in enumerate(one["rows"])
        if row["torch"] and number != one["first"]
    )
    first = [] if one["first"] is None else [one["first"]]
    return first + [number for _, number in room[:WORST]]


def value(row: Mapping[str, Any], key: str) -> float:
    """For order and plots: beyond the scale where it is not finite."""
    found = row.get(key)
    if found is not None:
        return float(found)
    return -TOP if row.get(f"{key}_is") == "minus infinite" else 2 * TOP


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{row['op']} {row['kind']} {row['name']}", module(row), number(row, "own_db"), number(row, "least_db"),
        number(row, "model_db"), span(row["torch_range"]), span(row["file_range"]),
    )  # fmt: skip


def table(one: Mapping[str, Any]) -> Table | str:
    from rich.markup import escape as escape_markup
    from rich.table import Table

    if one["note"]:
        return escape_markup(headline(one))
    made = Table(title=escape_markup(headline(one)), title_justify="left")
    for heading in HEADINGS:
        made.add_column(heading)
    for number_ in shown(one):
        row = one["rows"][number_]
        first, *rest = map(escape_markup, cells(row))
        mark = "→ first: " if number_ == one["first"] else "off: " if row["status"] == "off" else ""
        made.add_row(mark + first, *rest)
    return made


def plot(one: Mapping[str, Any]) -> str:
    """Own SQNR by place in the file against what precision explains."""
    rows = [row for row in one["rows"] if row["torch"]]

    def draw(axes: Axes) -> None:
        places = [row["op"] for row in rows]
        axes.step(places, [min(value(r, "least_db"), TOP) for r in rows], where="mid", color=plots.GREY, linewidth=1,
                  label="its precision explains at least")  # fmt: skip
        for status, colour, marker, label in (
            ("ok", plots.BLUE, "o", "the operation itself"), ("off", plots.VERMILLION, "X", "off"),
        ):  # fmt: skip
            some = [row for row in rows if row["status"] == status]
            axes.plot([r["op"] for r in some], [max(min(value(r, "own_db"), TOP), -5) for r in some], color=colour,
                      marker=marker, markersize=3 if status == "ok" else 7, linestyle="none", label=label)  # fmt: skip
        axes.plot(places, [max(min(value(r, "model_db"), TOP), -5) for r in rows], color=plots.ORANGE, linewidth=1,
                  linestyle="--", label="all that was lost up to here")  # fmt: skip
        axes.set(xlabel="operation, in the file's order", ylabel="SQNR, dB", ylim=(-8, TOP + 4))
        axes.legend(fontsize=7)

    return plots.svg(draw, 3.4, "SQNR of every operation by its place in the file")


def html(report: Mapping[str, Any]) -> str:
    data, name = report["data"], escape(report["model"])
    kind = "<b>synthetic</b> images" if data["synthetic"] else "photographs of unseen patients"
    parts = [
        f"<style>{STYLE}</style><h2>Where does a file leave the model?</h2><p><b>{name}</b>, layer by layer</p>",
        f"<p>{data['images']} {kind} ({escape(data['name'])}). Own SQNR: the operation against the torch layer on the "
        "file's own inputs, so that what it inherited is on both sides. At least: what the same torch layer keeps with "
        "weights and values rounded as the file's are, less one bit. From the model: against the float model on the "
        "image, all losses added up.</p>",
    ]
    for one in report["files"]:
        parts.append(
            f"<h3>{escape(one['file'])}</h3>"
            f"<p{' class=off' if one['first'] is not None else ''}>{escape(headline(one))}</p>"
        )
        if one["note"]:
            continue
        parts.append(plot(one) + tabled([one["rows"][n] for n in shown(one)]))
        parts.append(f"<details><summary>all {len(one['rows'])} results</summary>{tabled(one['rows'])}</details>")
    return "\n".join(parts)


def tabled(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in (*HEADINGS, ""))
    body = "".join(
        f"<tr{' class=off' if row['status'] == 'off' else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in (*cells(row), row["status"]))
        + "</tr>"
        for row in rows
    )
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
