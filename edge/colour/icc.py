"""ICC profiles: one written for a colour space that is stated in another way, and what a file's own profile says."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from .spaces import Chromaticities, Space

D50 = (0.9642, 1.0, 0.8249)  # X, Y, Z of the profile connection space, ICC.1:2022, 7.2.16
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
HEADER_BYTES = 128
MAX_TAGS = 256  # a profile of a press has about twenty


@lru_cache(maxsize=16)
def profile_of(space: Space) -> bytes:
    """A profile of version 4.3 that says the same: three colorants and a curve."""
    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + fixed(space.curve)
    text = "stated by the file".encode("utf-16-be")
    words = b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
    tags = {b"desc": words, b"cprt": words, b"wtpt": xyz(D50)}
    for letter, colorant in zip("rgb", colorants(space.at).T, strict=True):
        tags |= {f"{letter}XYZ".encode(): xyz(colorant), f"{letter}TRC".encode(): curve}
    table, data, start = struct.pack(">I", len(tags)), b"", HEADER_BYTES + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s4sI4s4sQI", start + len(data), b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ",
        bytes(12), b"acsp", b"", 0, b"", b"", 0, 0,
    ) + fixed(D50)  # fmt: skip
    return header.ljust(HEADER_BYTES, b"\0") + table + data


def colorants(at: Chromaticities) -> np.ndarray:
    """3 x 3, columns X, Y, Z of red, green, blue: SMPTE RP 177 from the chromaticities, then to D50 by Bradford.

    Raises numpy's LinAlgError where the three primaries lie on one line.
    """
    white, *primaries = [np.array((x, y, 1 - x - y)) for x, y in at]
    white = white / white[1]
    columns = np.array(primaries).T
    columns = columns * np.linalg.solve(columns, white)
    gains = (BRADFORD @ D50) / (BRADFORD @ white)
    return np.asarray(np.linalg.inv(BRADFORD) @ np.diag(gains) @ BRADFORD @ columns)


def xyz(values: Sequence[float] | np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + fixed(values)


def fixed(values: Sequence[float] | np.ndarray) -> bytes:
    """s15Fixed16Number; what would not fit is cut to its ends."""
    return b"".join(struct.pack(">i", max(-(2**31), min(2**31 - 1, round(value * 65536)))) for value in values)


def transfer_code(profile: bytes) -> int | None:
    """The transfer characteristics of the profile's `cicp` tag (ICC.1:2022, 9.2.17); None without one."""
    if len(profile) < HEADER_BYTES + 4:
        return None
    count = struct.unpack_from(">I", profile, HEADER_BYTES)[0]
    for number in range(min(count, MAX_TAGS)):
        entry = profile[HEADER_BYTES + 4 + 12 * number :][:12]
        if len(entry) == 12 and entry[:4] == b"cicp":
            content = profile[int.from_bytes(entry[4:8], "big") :][:12]
            return content[9] if len(content) == 12 and content[:4] == b"cicp" else None
    return None
