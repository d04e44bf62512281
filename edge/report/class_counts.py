"""What a balanced accuracy does not say by itself: classes without photographs, and those with hardly any."""

from __future__ import annotations

from collections.abc import Mapping

FEW = 5  # photographs of a class; with fewer its share moves by more than 20 points with each


def balanced_accuracy_of(counts: Mapping[str, int]) -> str:
    """What the figure is called; `counts`: class code -> photographs, of every class of the model."""
    seen = sum(count > 0 for count in counts.values())
    return "balanced accuracy" if seen == len(counts) else f"balanced accuracy of {seen} of {len(counts)} classes"


def remarks(counts: Mapping[str, int]) -> list[str]:
    """Sentences for a person; none where every class has photographs enough."""
    absent = [code for code, count in counts.items() if not count]
    few = [f"{code} ({count})" for code, count in counts.items() if 0 < count < FEW]
    said = []
    if absent:
        seen = len(counts) - len(absent)
        rest = "nothing is known of it" if len(absent) == 1 else "nothing is known of them"
        said.append(
            f"No photograph of {', '.join(absent)}: {rest}, and the balanced accuracy is that of the other {seen} "
            f"class{'' if seen == 1 else 'es'}."
        )
    if few:
        said.append(f"Fewer than {FEW} photographs of {', '.join(few)}: figures with such a class in them are rough.")
    return said
