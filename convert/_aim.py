"""What the gate of an 8-bit recipe asks of the choice of its layers, and what no choice can reach, said in time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edge.metrics.statistics import median_interval
from edge.recipes import Gate


class Unreachable(Exception):
    """No choice of 8-bit layers can pass the gate; the message has the figure and the one that is asked for."""


@dataclass(frozen=True)
class Aim:
    """The gate that the file will be judged by; `binding`: a file that misses it will be rejected."""

    gate: Gate = field(default_factory=Gate)
    binding: bool = False

    @property
    def share(self) -> float:
        """Of the multiply-accumulates of layers with weights, those wanted on 8-bit activations, 0..1."""
        return self.gate.mac_share_int8 or 0.0

    def check_share(self, most: float, why: str = "") -> None:
        """Unreachable if not more than the share `most` of the multiply-accumulates can be on 8-bit activations."""
        if self.binding and most < self.share:
            raise Unreachable(
                f"not made: at most {most:.1%} of its MACs can be on 8-bit activations{why}, and its gate asks for at "
                f"least {self.share:.0%}"
            )

    def check_fidelity(self, decibel: np.ndarray, doing: str) -> None:
        """Unreachable if the images' SQNR (N,) in dB, `doing` what any choice has to do at least, are below the gate.

        They are below as the gate itself sees it: the whole interval of their median.
        """
        limit = self.gate.median_sqnr_db
        if self.binding and limit is not None and median_interval(decibel).high < limit:
            raise Unreachable(
                f"not made: {doing} its median SQNR is {np.median(decibel):.1f} dB, and its gate asks for at least "
                f"{limit:g} dB"
            )
