"""How fast and how large: the plain conversion, ours by recipe, and well-known networks, side by side in one run.

    python benchmarks/tflite.py --model hierattn_xs --side 256

Every file runs in a process of its own with its threads pinned; rounds are interleaved, so that a machine that slows
down slows all of them down. Times are this machine's: the ratios travel, the milliseconds do not. `plain` is what
`litert_torch.convert` makes of the same module without any rewrite. Peers have random weights; they are there for their
speed. Writes --out/tflite.md and tflite.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

if not __package__:  # started as a file from a clone
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge.console import entry, screen, third_party_noise_into
from edge.files import scratch_in

PEERS = ("mobilenetv2", "efficientnet_b0", "mobilevit_s")
RECIPES = ("fp32", "fp16", "int8-weights", "int8-dynamic")
WARM_UP = 5
COUNTED = ("largest_rank", "layout_operators", "macs", "macs_8bit", "xnnpack_partitions")  # of the audit


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default="hierattn_xs", help="a shipped model, or any with random weights")
    p.add_argument("--side", type=int, default=256, help="input side in pixels (default: 256)")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--rounds", type=int, default=30)
    p.add_argument(
        "--peers", action="store_true", help="also MobileNetV2, EfficientNet-B0 and MobileViT-S (slow to convert)"
    )
    p.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    p.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    return p


@entry
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if args.worker:
        return worker(args.worker, args.threads)
    with scratch_in(args.out) as work:
        files = {}
        for name, content in contents(args, args.out):
            files[name] = work / f"{name}.tflite"
            files[name].write_bytes(content)
        times = timed(files, args.threads, args.rounds)
        with third_party_noise_into(args.out / "convert.log"):
            rows = [row(name, path, times[name], times["plain"]) for name, path in files.items()]
    page = markdown(rows, args)
    (args.out / "tflite.md").write_text(page)
    (args.out / "tflite.json").write_text(json.dumps({"machine": machine(), "side": args.side, "rows": rows}, indent=1))
    print(page)
    return 0


def contents(args: argparse.Namespace, folder: Path):
    """(name, bytes) of every file that is measured."""
    log = folder / "convert.log"
    with third_party_noise_into(log):
        import litert_torch
        import torch

        from convert._quantise import quantise
        from convert._tflite import float_model
        from edge.models.deployed import deployed
    checkpoint = checkpoint_at(args.model, args.side)
    example = torch.zeros(1, args.side, args.side, 3)
    with screen().status("plain conversion"), third_party_noise_into(log):
        plain = litert_torch.convert(deployed(checkpoint, layout="NHWC"), (example,)).model_content()
    yield "plain", plain
    with third_party_noise_into(log):
        ours = float_model(checkpoint).content
    for recipe in RECIPES:
        with third_party_noise_into(log):
            yield recipe, quantise(ours, recipe)
    for name in PEERS if args.peers else ():
        with screen().status(name), third_party_noise_into(log):
            content = litert_torch.convert(peer(name), (example,)).model_content()
            yield name, content
            yield f"{name} int8-dynamic", quantise(content, "int8-dynamic")


def checkpoint_at(model: str, side: int):
    """The shipped checkpoint, or random weights, for another input side."""
    import torch

    from edge.checkpoint import Checkpoint, Preprocess, load, shipped
    from edge.errors import InputError
    from edge.labels import PAD_UFES_20
    from edge.models import create_model
    from edge.preprocess import PREPROCESS_VERSION

    preprocess = Preprocess(PREPROCESS_VERSION, side)
    try:
        return replace(load(shipped(model)), preprocess=preprocess)
    except InputError:
        torch.manual_seed(0)
        return Checkpoint(model, PAD_UFES_20, preprocess, create_model(model, len(PAD_UFES_20)).state_dict())


def peer(name: str):
    """A network of transformers behind the same input and output as ours."""
    import torch
    import transformers
    from torch import nn

    from edge.models.deployed import Deployed

    kinds = {
        "mobilenetv2": (transformers.MobileNetV2ForImageClassification, transformers.MobileNetV2Config()),
        "efficientnet_b0": (
            transformers.EfficientNetForImageClassification,
            transformers.EfficientNetConfig(
                width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, dropout_rate=0.2
            ),
        ),
        "mobilevit_s": (transformers.MobileViTForImageClassification, transformers.MobileViTConfig()),
    }
    build, config = kinds[name]
    config.num_labels = 6
    torch.manual_seed(0)
    network = build(config)
    if name == "efficientnet_b0":  # its pooler is a window of 1280 pixels, which becomes gigabytes of padding
        network.efficientnet.pooler = nn.AdaptiveAvgPool2d(1)

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x).logits

    return Deployed(Logits(), mean=(0.0,) * 3, std=(1.0,) * 3, temperature=1.0, layout="NHWC").eval()


def worker(path: Path, threads: int) -> int:
    """Answer every line on standard input with the milliseconds of one inference."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    picture = np.random.default_rng(0).integers(0, 256, given["shape"]).astype(given["dtype"])
    interpreter.set_tensor(given["index"], picture)
    for _ in sys.stdin:
        begun = time.perf_counter()
        interpreter.invoke()
        print(1e3 * (time.perf_counter() - begun), flush=True)
    return 0


def timed(files: dict[str, Path], threads: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every file in every round, rounds interleaved."""
    command = [sys.executable, __file__, "--threads", str(threads), "--worker"]
    pipe = subprocess.PIPE
    workers = {
        name: subprocess.Popen([*command, str(path)], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        for name, path in files.items()
    }
    times: dict[str, list[float]] = {name: [] for name in files}
    try:
        for number in range(rounds + WARM_UP):
            for name, process in workers.items():
                assert process.stdin and process.stdout
                process.stdin.write("\n")
                process.stdin.flush()
                milliseconds = float(process.stdout.readline())
                if number >= WARM_UP:
                    times[name].append(milliseconds)
    finally:
        for process in workers.values():
            process.communicate()  # closes its input, at which it ends
    return times


def row(name: str, path: Path, times: list[float], plain: list[float]) -> dict:
    import numpy as np

    from convert._audit import audit

    made_of = audit(path)
    low, middle, high = (float(v) for v in np.percentile(times, (25, 50, 75)))
    return {
        "file": name,
        "bytes": path.stat().st_size,
        "ms": middle,
        "ms_quartiles": [low, high],
        "ratio_to_plain": float(np.median(np.array(times) / np.array(plain))),
        **{
            key: made_of[key] for key in ("largest_rank", "layout_operators", "macs", "macs_8bit", "xnnpack_partitions")
        },
        "operators": sum(made_of["operators"].values()),
    }


def markdown(rows: list[dict], args: argparse.Namespace) -> str:
    lines = [
        f"{args.model}, {args.side} x {args.side}, {args.threads} thread(s), {args.rounds} rounds, {machine()}",
        "",
        "| file | bytes | ms, median [quartiles] | of plain | operators | layout | rank | pieces | MACs on 8 bits |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        low, high = r["ms_quartiles"]
        lines.append(
            f"| {r['file']} | {r['bytes']:,} | {r['ms']:.2f} [{low:.2f}, {high:.2f}] | {r['ratio_to_plain']:.2f} | "
            f"{r['operators']} | {r['layout_operators']} | {r['largest_rank']} | {r['xnnpack_partitions']} | "
            f"{r['macs_8bit'] / max(1, r['macs']):.0%} |"
        )
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Processor kind and its instructions for 8-bit products, where the system says."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0]
    except (OSError, IndexError):
        return platform.machine()
    known = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8") if f" {name} " in flags + " "]
    return f"{platform.machine()} ({', '.join(known) or 'plain'})"


if __name__ == "__main__":
    raise SystemExit(main())
