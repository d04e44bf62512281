"""Networks that nobody here wrote, through the lowerings: how close to PyTorch each file is, or why it is refused.

    python benchmarks/foreign_networks.py --out build/foreign

The networks are small ones of Hugging Face transformers, built from their config classes with random weights; nothing
is downloaded. Figures are dB, the median over 16 drawn pictures of signal to noise of the logits; int8 is measured on
the synthetic sample, as by a converter without photographs. Random weights spread rounding more than trained ones do.
Writes --out/foreign_networks.md, the table of docs/any_network.md.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.foreign_networks`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from pathlib import Path

from dermedge.console import entry, screen, third_party_noise_into
from edge.errors import GOOD, InputError
from edge.files import scratch_in, write_text
from edge.progress import track

from ._flags import add_out

LOG = "benchmark.log"
TITLES = ("TFLite fp32", "fp16", "int8-dynamic", "int8", "Core ML fp32", "fp16")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--network", action="append", metavar="NAME", help="only this one; may be given more than once")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from ._foreign import NETWORKS
    from ._foreign_files import measured

    names = args.network or list(NETWORKS)
    unknown = [name for name in names if name not in NETWORKS]
    if unknown:
        raise InputError(f"no network {unknown[0]!r}; there is {', '.join(NETWORKS)}")
    with scratch_in(args.out) as work, third_party_noise_into(args.out / LOG):
        rows = [measured(name, work) for name in track(names, "networks", len(names))]
    lines = [f"| network | config | {' | '.join(TITLES)} |", f"|---|---|{'---:|' * len(TITLES)}"]
    lines += [row.markdown() for row in rows]
    refusals = [f"- {row.name}, {form}: {why}" for row in rows for form, why in row.refused.items()]
    write_text(args.out / "foreign_networks.md", "\n".join([*lines, *([""] if refusals else []), *refusals]) + "\n")
    screen().print(f"{args.out / 'foreign_networks.md'}: {len(rows)} networks, {len(refusals)} refusals")
    return GOOD


if __name__ == "__main__":
    main()
