"""How often `dermedge diagnose` names the mistake that was made, from one photograph and from three.

    python benchmarks/diagnose.py build/hierattn_xs --images 60

Each mistake is made with each photograph of unseen patients, and the answer is that of the fp32 file with float16
arithmetic forced, as of another processor; the diagnosis knows the float32 and the int8 file only.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.diagnose`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from collections import Counter
from pathlib import Path

import numpy as np

from dermedge.console import entry, screen, third_party_noise_into
from dermedge.flags import add_data
from edge.build import open_build
from edge.data.selection import judging_set
from edge.errors import at_least_one
from edge.progress import track
from edge.questions.mistakes import diagnosis
from edge.questions.mistakes.catalogue import mistakes_for
from edge.questions.mistakes.diagnosis import FINE, Hypothesis
from edge.questions.mistakes.model import Model, open_models
from edge.questions.mistakes.phone_output import PhoneOutput
from edge.questions.mistakes.scene import Scene, Target, photographed
from edge.runtimes.litert import LiteRT

TOGETHER = 3  # photographs


def outcome(planted: str, hypotheses: list[Hypothesis], outputs: list[PhoneOutput], temperature: float) -> str:
    """ "named", "among several", "right" or "wrong" for one planted mistake."""
    judgement = diagnosis.judge_all(hypotheses, outputs, temperature=temperature)
    codes = [match.hypothesis.code for match in judgement.explained_by]
    if judgement.verdict == "right":
        return "named" if planted in FINE else "no harm seen"
    if planted in codes:
        return "named" if len(codes) == 1 else "among several"
    return "none" if judgement.verdict == "none" else "wrong"


def joined(parts: list[list[Hypothesis]]) -> list[Hypothesis]:
    """The same hypotheses on several photographs."""
    return [
        Hypothesis(by_photo[0].code, by_photo[0].name, by_photo[0].did, by_photo[0].mend, {
            form: np.concatenate([h.answers[form] for h in by_photo]) for form in by_photo[0].answers
        })
        for by_photo in zip(*parts, strict=True)
    ]  # fmt: skip


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=Path, help="folder with the fp32 and int8 .tflite and manifest.json")
    add_data(p)
    p.add_argument("--images", type=int, default=60, help="photographs of unseen patients (default: %(default)s)")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(images=args.images)
    build = open_build(args.build, checkpoint=None)
    photos = judging_set(build.checkpoint, args.data, limit=args.images)
    numbers = build.checkpoint.preprocess
    target = Target(numbers.side, numbers.mean, numbers.std)
    planted: dict[str, list[np.ndarray]] = {code: [] for code in ("right", *(m.code for m in mistakes_for(target)))}
    known: list[list[Hypothesis]] = []
    with third_party_noise_into(args.build / "runtime.log"):
        models = open_models(args.build, build.manifest)
        file = next(model.name for model in models if model.form == "float")
        phone = Model("float", file, LiteRT(args.build / file, mode="xnnpack-fp16"))
        for photo in track(photos.photos, "diagnosing", len(photos)):
            scene: Scene = photographed(photo.path, target)[0]
            known.append(diagnosis.paths([scene], models))
            planted["right"].append(phone.ask(scene.right))
            for mistake in mistakes_for(target):
                planted[mistake.code].append(phone.ask(mistake.wrong(scene)))
    temperature = build.checkpoint.temperature
    for together in (1, TOGETHER):
        groups = [range(i, i + together) for i in range(0, len(photos) - together + 1, together)]
        counts: Counter[str] = Counter()
        right: Counter[str] = Counter()
        by_code: dict[str, Counter[str]] = {code: Counter() for code in planted}
        for group in groups:
            hypotheses = joined([known[i] for i in group])
            for code, answers in planted.items():
                said = outcome(code, hypotheses, [PhoneOutput(answers[i], False) for i in group], temperature)
                (right if code in FINE else counts)[said] += 1
                by_code[code][said] += 1
        total = counts.total()
        screen().print(f"{together} photograph(s) at a time, {len(groups)} times, {len(planted) - 1} mistakes each")
        screen().print("  mistakes: " + ", ".join(f"{k} {v / total:.1%}" for k, v in counts.most_common()))
        screen().print("  nothing wrong: " + ", ".join(f"{k} {v / right.total():.1%}" for k, v in right.most_common()))
        worst = sorted(by_code, key=lambda code: by_code[code]["named"])[:8]
        screen().print("  least named: " + ", ".join(f"{c} {by_code[c]['named']}/{len(groups)}" for c in worst))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
