"""Write a model as .tflite files, each compared with the model it came from before it is called good.

    python convert/to_tflite.py --model hierattn_xs

Writes build/<model>/<model>-<recipe>.tflite and manifest.json. Takes float32 RGB 0..255, (1, S, S, 3), and
returns calibrated probabilities: normalisation, temperature and softmax are inside. Photographs to judge on
come from --data or $DERMEDGE_PHOTOS; without either, from the embedded synthetic sample.

--route onnx-tf takes the old road, ONNX -> onnx-tf -> TensorFlow -> TFLite, in an environment of its own that `dermedge
setup onnx-tf` makes, to build/<model>-onnx-tf, under the same gates; both takes both roads and holds their fp32 files
against each other, operator by operator and number by number (routes.json). docs/onnx.md says what that gives.
LiteRT for ARM and Android's library, where `dermedge setup arm` and `dermedge setup android` have put them, say what
they answer for the first photograph, for at most 15 seconds (DERMEDGE_PHONE_SECONDS); --no-phones leaves them out.
Exit code 1 if a file fails its gate, which is then not left behind, or if a phone's library answers something else.
"""

from __future__ import annotations

import argparse

from dermedge.console import entry
from dermedge.flags import add_no_phones
from edge.errors import InputError
from edge.recipes import TFLITE

from ._conversion import add_flags, run

ROUTES = ("direct", "onnx-tf", "both")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(p, TFLITE)
    add_no_phones(p)
    p.add_argument(
        "--route", choices=ROUTES, default=ROUTES[0],
        help="direct: operators are written from the network's graph; onnx-tf: the old road; both: compare them "
        "(default: %(default)s)",
    )  # fmt: skip
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if args.route == ROUTES[0]:
        return run(args, "tflite")
    eighth = [recipe for recipe in args.recipe or () if TFLITE[recipe].weights < 16]
    if eighth:
        raise InputError(
            f"--route {args.route} makes the float recipes, fp32 and fp16; {eighth[0]} is measured on the direct road"
        )
    if args.route == "onnx-tf":
        return run(args, "onnx_tf")
    from ._routes import both

    return both(args)


if __name__ == "__main__":
    raise SystemExit(main())
