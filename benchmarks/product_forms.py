"""The forms of an 8-bit fully connected layer: what each costs on LiteRT here, and where Android's library is right.

    python benchmarks/product_forms.py --model hierattn_xs --out build/forms

Writes the 8-bit .tflite files of a shipped network in two forms (a scale for each channel; one scale and a MUL behind,
as dermedge writes them) and compares their time, interleaved on one thread, their size, and the largest difference of a
probability from the fp32 file's: on LiteRT here and, where `dermedge setup android` has brought it, in Android's TFLite
on an emulated ARM processor, whose time says nothing. Writes --out/product_forms.md.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.product_forms`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from pathlib import Path

import numpy as np

from dermedge.console import entry, screen, third_party_noise_into
from dermedge.flags import add_shipped_model
from edge.errors import GOOD, InputError
from edge.files import scratch_in, write_text

from ._flags import add_out

RECIPES = ("int8-dynamic", "int8")
CHANNELS, OLD, BEHIND = "a scale for each channel", "the same, called version 5", "one scale, MUL behind"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shipped_model(p, "the model")
    p.add_argument("--data", type=Path, help="photographs, as converters take them")
    p.add_argument("--rounds", type=int, default=200, help="timed rounds (default: %(default)s)")
    p.add_argument("--images", type=int, default=6, help="for the answers (default: %(default)s)")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    with scratch_in(args.out) as work, third_party_noise_into(args.out / "benchmark.log"):
        page = measured(args, work)
    write_text(args.out / "product_forms.md", page)
    screen().print(page, markup=False, soft_wrap=True)
    return GOOD


def measured(args: argparse.Namespace, work: Path) -> str:
    from convert._tflite.channel_scales import with_scales_behind
    from convert._tflite.file import float_model
    from convert._tflite.half_constants import with_half_constants
    from convert._tflite.layers import described
    from convert._tflite.measured import measure
    from convert._tflite.quantise import apply
    from edge.checkpoint import load, shipped
    from edge.data.selection import judging_set
    from edge.data.squares import load_squares
    from edge.phones import android
    from edge.questions.zoo.rounds import timed
    from edge.tflite.versions import with_versions

    checkpoint = load(shipped(args.model))
    lowered = float_model(checkpoint)
    # what travels with the weights is used as it is
    measurement = measure(checkpoint, lowered, data=args.data, kept=[shipped(args.model)])
    assert measurement.scheme  # `measure` was asked to choose
    layers = {"int8-dynamic": described(measurement.rounded), "int8": measurement.scheme.layers}
    _, images = load_squares(judging_set(checkpoint, args.data, limit=args.images), checkpoint.preprocess.side)
    files = {"fp32": work / "fp32.tflite"}
    files["fp32"].write_bytes(lowered.content)
    for recipe in RECIPES:
        plain = with_half_constants(apply(measurement.rounded, layers[recipe]))
        right = with_versions(plain)
        forms = {CHANNELS: right, OLD: as_version_5(right), BEHIND: with_versions(with_scales_behind(plain))}
        for form, content in forms.items():
            path = work / f"{recipe} {form}.tflite"
            path.write_bytes(content)
            files[f"{recipe}, {form}"] = path
    times = timed({name: path for name, path in files.items() if name != "fp32"}, 1, args.rounds)
    wanted = answers(files["fp32"], images, "xnnpack")
    there = android.is_set_up()
    rows = []
    for name, path in files.items():
        if name == "fp32":
            continue
        recipe, form = name.split(", ", 1)
        own, peer = (np.array(times[n].milliseconds) for n in (name, f"{recipe}, {CHANNELS}"))
        low, ratio, high = np.percentile(own / peer, [25, 50, 75])
        here = np.abs(answers(path, images, "xnnpack") - wanted).max()
        arm = difference(path, images, wanted) if there else "not set up"
        rows.append(
            f"| {recipe} | {form} | {ratio:.3f} [{low:.3f}, {high:.3f}] | {path.stat().st_size:,} "
            f"| {here:.4f} | {arm} |"
        )
    head = f"| recipe | form | time | bytes | difference, LiteRT | difference, Android {android.TFLITE} on ARM |"
    return "\n".join([head, "|---|---|---:|---:|---:|---:|", *rows]) + "\n"


def as_version_5(content: bytes) -> bytes:
    """The file with its products called what they were called before the rules were applied."""
    from edge.tflite.flatbuffer import code_name, pack, unpack

    model = unpack(content)
    for code in model.operatorCodes:
        if code_name(code) == "FULLY_CONNECTED":
            code.version = 5
    return pack(model)


def answers(path: Path, images: np.ndarray, mode: str) -> np.ndarray:
    from edge.runtimes.litert import LiteRT

    runtime = LiteRT(path, mode=mode)
    try:
        return runtime.run(images).probabilities
    finally:
        runtime.close()


def difference(path: Path, images: np.ndarray, wanted: np.ndarray) -> str:
    try:
        return f"{np.abs(answers(path, images, 'android') - wanted).max():.4f}"
    except InputError:
        return "refused"


if __name__ == "__main__":
    main()
