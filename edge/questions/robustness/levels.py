"""How bad each severity is: one table, in units. Standard library only, so that `--help` can list the names.

Severity 1 is what one would not notice, 3 an ordinary bad photograph, 5 one that should be taken again. Lengths are in
thousandths of the square's side, so that a small file and a large one are spoilt alike.
"""

from __future__ import annotations

from typing import NamedTuple

from edge.errors import InputError

SEVERITIES = (1, 2, 3, 4, 5)


class Scale(NamedTuple):
    title: str
    unit: str
    values: tuple[float, ...]  # of severity 1 to 5


LEVELS = {
    # Out of focus by geometrical optics: every point becomes a disc. A model's pixel of 128 is 7.8 thousandths wide.
    "defocus": Scale("Defocus", "radius, ‰ of the side", (3, 6, 10, 16, 24)),
    # A hand that moves while the shutter is open: a straight line in any direction.
    "motion": Scale("Motion blur", "path, ‰ of the side", (8, 16, 26, 40, 60)),
    # Electrons that white collects on 1/512 x 1/512 of the square. A phone's sensor pixel of 1 um holds about 5000; the
    # others are less light, amplified. The read noise is READ_NOISE below.
    "noise": Scale("Sensor noise", "electrons at white", (3000, 1000, 350, 120, 40)),
    # One stop is a factor of two of linear light.
    "underexposure": Scale("Underexposure", "stops", (-0.5, -1, -1.5, -2, -3)),
    "overexposure": Scale("Overexposure", "stops", (0.25, 0.5, 0.75, 1, 1.5)),
    # Light of another colour than the camera believes, towards warm or cold. A mired is 10^6 / kelvin: +85 from D65 is
    # light of 4190 K, -85 of 14,600 K. A just noticeable step is about 5 mired.
    "white-balance": Scale("White balance", "mired off", (10, 20, 35, 55, 85)),
    # Pillow's quality, chroma halved (4:2:0) as messengers do.
    "jpeg": Scale("JPEG", "quality", (60, 40, 25, 15, 8)),
    # A thumbnail, enlarged again. Squares that are smaller already stay.
    "downscale": Scale("Downscaling", "pixels left of a side", (128, 96, 64, 48, 32)),
    "rotation": Scale("Rotation", "degrees", (5, 10, 20, 30, 45)),
    # Terminal hair is 0.05 to 0.12 mm thick and a close photograph 20 to 30 mm wide: 2 to 5 thousandths (HAIR_WIDTH).
    "hair": Scale("Hair", "hairs", (4, 8, 14, 22, 32)),
    # A ring around the lesion, with a surgical marker of 0.5 mm: 20 thousandths of 25 mm (PEN_WIDTH).
    "pen": Scale("Pen marks", "degrees of a ring", (30, 80, 140, 220, 330)),
}
READ_NOISE = (2.0, 3.0, 4.0, 5.0, 6.0)  # electrons, standard deviation, on the same 1/512 x 1/512
HAIR_WIDTH = (2.0, 5.0)  # thousandths of the side, drawn evenly
PEN_WIDTH = 20.0  # thousandths of the side


def level(name: str, severity: int) -> float:
    """The value of a severity; InputError if it is none of 1 to 5."""
    check_severity(severity)
    return LEVELS[name].values[severity - 1]


def check_severity(severity: int) -> None:
    if severity not in SEVERITIES or isinstance(severity, bool):
        raise InputError(f"a severity is a whole number of 1 to 5, got {severity!r}")
