"""The Display P3 profile, as ICC.1:2010 asks for it: three colorants adapted to D50 and sRGB's curve."""

from __future__ import annotations

import struct

COLORANTS = {"r": (0.51512, 0.24120, -0.00105), "g": (0.29198, 0.69225, 0.04189), "b": (0.15710, 0.06657, 0.78407)}
WHITE = (0.9642, 1.0, 0.8249)
CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # parametric curve of type 3


def profile() -> bytes:
    name = "Display P3".encode("utf-16-be")
    text = b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(name), 28) + name
    tags = {"desc": text, "cprt": text, "wtpt": xyz(WHITE)}
    for channel, colorant in COLORANTS.items():
        tags[channel + "XYZ"] = xyz(colorant)
        tags[channel + "TRC"] = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + fixed(CURVE)
    table, data, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag.encode() + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = start + len(data)
    header = struct.pack(">I4sI4s4s4s", size, b"none", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s4sI4s4sQI", 2026, 1, 1, 0, 0, 0, b"acsp", b"APPL", 0, b"none", b"none", 0, 0)
    header += fixed(WHITE)
    return header + bytes(128 - len(header)) + table + data


def xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + fixed(values)


def fixed(values: tuple[float, ...]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)
