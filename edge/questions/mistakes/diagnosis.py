"""Which mistake explains what an app answered for a photograph.

Every hypothesis (the right path, each wrong one, and mistakes with the model's answer) gives probabilities for each
photograph and for the float and the int8 file. Its distance is the largest |Δp| over photographs and classes, the
nearer of the two files. A hypothesis explains the answer if its distance is at most TOLERANCE: what another decoder,
processor or float16 may do to one and the same file. Hypotheses that are not clearly farther than the nearest one, by
RATIO and by more than NOISE, cannot be told from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge.metrics import statistics as st
from edge.questions.mistakes.catalogue import mistakes_for
from edge.questions.mistakes.model import Model, ask_all
from edge.questions.mistakes.pairs import answers, pairs_for
from edge.questions.mistakes.phone_output import PhoneOutput
from edge.questions.mistakes.scene import Scene

TOLERANCE = 0.02  # of a probability
RATIO = 3.0
NOISE = 0.0005  # of a probability; the same file on two processors may differ by as much
RIGHT, BY_CAMERA = "right", "right-by-camera"
FINE = (RIGHT, BY_CAMERA)


@dataclass(frozen=True)
class Hypothesis:
    code: str
    name: str
    did: str
    mend: str
    answers: Mapping[str, np.ndarray]  # form -> (P, K) probabilities of the photographs
    order: tuple[int, ...] = ()  # for each place of the app's list the class whose answer stands there


@dataclass(frozen=True)
class Finding:
    """How near a hypothesis comes with the form and reading that suit it best."""

    hypothesis: Hypothesis
    form: str  # "float" or "int8"
    reading: str  # "probabilities", "logits" or "logits / temperature"
    largest_delta_p: float
    sqnr_db: float  # of the centred logits, median over photographs; the hypothesis is the signal
    by_form: Mapping[str, float]  # largest |Δp| with each file


@dataclass(frozen=True)
class Diagnosis:
    verdict: str  # "right", "mistake", "ambiguous", "none"
    explained_by: tuple[Finding, ...]  # the nearest first, then those that cannot be told from it; the right path first
    findings: tuple[Finding, ...]  # all, the nearest first
    form: str | None  # the file that the app runs, where one is clearly nearer than the other
    harmless: bool  # the right path, too, is within the tolerance


def diagnose(
    scenes: Sequence[Scene], outputs: Sequence[PhoneOutput], models: Sequence[Model], *, temperature: float
) -> Diagnosis:
    """`outputs` are what one app answered for `scenes`, in their order.

    Two mistakes at once are tried where no single one explains the answer.
    """
    single = paths(scenes, models)
    found = judge_all(single, outputs, temperature=temperature)
    if found.verdict != "none" or not models:
        return found
    return judge_all([*single, *two_at_once(scenes, models, single, temperature)], outputs, temperature=temperature)


def judge_all(hypotheses: Sequence[Hypothesis], outputs: Sequence[PhoneOutput], *, temperature: float) -> Diagnosis:
    """`hypotheses`: as `paths` gives them, the right one first."""
    right = hypotheses[0]
    readings = readings_of(outputs, temperature)
    if "probabilities" in readings:
        hypotheses = [*hypotheses, *answer_mistakes(right, temperature)]
    tried = [[nearness(one, reading, phone) for reading, phone in readings.items()] for one in hypotheses]
    tried.append([found for reading, phone in readings.items() if (found := order(right, reading, phone))])
    findings = [min(found, key=lambda f: f.largest_delta_p) for found in tried if found]
    findings.sort(key=lambda f: (f.largest_delta_p, f.hypothesis.code not in FINE))
    return judged(findings)


def judged(findings: Sequence[Finding]) -> Diagnosis:
    """`findings`: the nearest first."""
    best = findings[0]
    limit = clearly_farther(best.largest_delta_p)
    near = [f for f in findings if f.largest_delta_p <= limit]
    if best.largest_delta_p > TOLERANCE:
        verdict, near = "none", []
    elif any(f.hypothesis.code in FINE for f in near):
        near.sort(key=lambda f: f.hypothesis.code not in FINE)
        verdict = "right" if near[0].reading == "probabilities" else "mistake"  # the softmax is missing
    else:
        verdict = "mistake" if len(near) == 1 else "ambiguous"
    form = None
    if near:
        others = [d for form, d in near[0].by_form.items() if form != near[0].form]
        form = near[0].form if others and min(others) > clearly_farther(near[0].largest_delta_p) else None
    harmless = any(f.hypothesis.code == RIGHT and f.largest_delta_p <= TOLERANCE for f in findings)
    return Diagnosis(verdict, tuple(near), tuple(findings), form, harmless)


def clearly_farther(distance: float) -> float:
    """What is beyond this can be told from a hypothesis at `distance`."""
    return max(RATIO * distance, distance + NOISE)


def paths(scenes: Sequence[Scene], models: Sequence[Model]) -> list[Hypothesis]:
    """The right path first, a camera frame that is read rightly, and every wrong path."""
    mistakes = mistakes_for(scenes[0].target)
    asked = [ask_all(scene, mistakes, models) for scene in scenes]
    forms = [model.form for model in models]

    def by_form(code: str, place: int) -> dict[str, np.ndarray]:
        return {form: np.array([one[code][form][place] for one in asked]) for form in forms}

    return [
        Hypothesis(RIGHT, "nothing wrong", "Kept to docs/preprocess.md.", "Nothing.", by_form("bgr", 0)),
        Hypothesis(
            BY_CAMERA, "nothing wrong, through a camera frame", "Read a YUV 4:2:0 frame rightly.", "Nothing.",
            by_form("full-as-limited", 0),
        ),
        *(Hypothesis(one.code, one.name, one.did, one.mend, by_form(one.code, 1)) for one in mistakes),
    ]  # fmt: skip


def two_at_once(
    scenes: Sequence[Scene], models: Sequence[Model], single: Sequence[Hypothesis], temperature: float
) -> list[Hypothesis]:
    """Pairs of mistakes with the picture, and each single one together with a mistake with the answer."""
    tried = [
        Hypothesis(
            pair.code, pair.name, f"{pair.first.did} {pair.second.did}", f"{pair.first.mend} {pair.second.mend}",
            answers(pair, scenes, models),
        )
        for pair in pairs_for(scenes[0].target)
    ]  # fmt: skip
    for picture in single:
        if picture.code in FINE:
            continue
        tried += [
            Hypothesis(
                f"{picture.code}+{answer.code}", f"{picture.name}, and {answer.name}", f"{picture.did} {answer.did}",
                f"{picture.mend} {answer.mend}", answer.answers,
            )
            for answer in answer_mistakes(picture, temperature)
        ]  # fmt: skip
    return tried


def answer_mistakes(right: Hypothesis, temperature: float) -> list[Hypothesis]:
    """The picture of a hypothesis, and something done to the model's answer."""
    twice = {form: softmax(p) for form, p in right.answers.items()}
    hypotheses = [
        Hypothesis(
            "softmax-twice", "softmax taken twice", "Put the model's probabilities through a softmax.",
            "Take the output as it is: softmax is inside the graph.", twice,
        )
    ]  # fmt: skip
    if temperature != 1:
        logits = {form: temperature * np.log(np.maximum(p, 1e-30)) for form, p in right.answers.items()}
        hypotheses.append(
            Hypothesis(
                "no-temperature", "temperature left out", "Ran the bare network, and a softmax of its logits.",
                f"Divide the logits by {temperature:g} first, or use the exported graph, which does.",
                {form: softmax(values) for form, values in logits.items()},
            )
        )  # fmt: skip
    return hypotheses


def readings_of(outputs: Sequence[PhoneOutput], temperature: float) -> dict[str, np.ndarray]:
    """What the app's numbers may mean -> probabilities (P, K)."""
    values = np.array([one.values for one in outputs])
    if not any(one.logits for one in outputs):
        return {"probabilities": values}
    readings = {"logits": softmax(values)}
    if temperature != 1:
        readings["logits / temperature"] = softmax(values / temperature)
    return readings


def nearness(hypothesis: Hypothesis, reading: str, phone: np.ndarray) -> Finding:
    by_form = {form: float(np.abs(answers - phone).max()) for form, answers in hypothesis.answers.items()}
    form = min(by_form, key=lambda name: by_form[name])
    sqnr = st.sqnr_db(st.read_back_logits(hypothesis.answers[form]), st.read_back_logits(phone))
    return Finding(hypothesis, form, reading, by_form[form], float(np.median(sqnr)), by_form)


def order(right: Hypothesis, reading: str, phone: np.ndarray) -> Finding | None:
    """The right answer with the classes in another order, if one comes nearer than the manifest's."""
    form = min(
        right.answers, key=lambda f: np.abs(right.answers[f][:, assigned(right.answers[f], phone)] - phone).max()
    )
    places = assigned(right.answers[form], phone)
    arranged = {name: answers[:, places] for name, answers in right.answers.items()}
    if all(np.array_equal(arranged[name], answers) for name, answers in right.answers.items()):
        return None
    return nearness(
        Hypothesis(
            "class-order", "classes in another order", "Named the outputs by another list of labels.",
            "Take the labels from the manifest, in its order.", arranged, tuple(places.tolist()),
        ),
        reading, phone,
    )  # fmt: skip


def assigned(answers: np.ndarray, phone: np.ndarray) -> np.ndarray:
    """(K,) for each place of the phone's list the class whose probability stands there best."""
    if len(phone) == 1:  # largest to largest
        found = np.empty(phone.shape[1], np.int64)
        found[np.argsort(phone[0], kind="stable")] = np.argsort(answers[0], kind="stable")
        return found
    from scipy.optimize import linear_sum_assignment

    cost = np.square(phone[:, :, None] - answers[:, None, :]).sum(axis=0)
    return linear_sum_assignment(cost)[1]


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)
