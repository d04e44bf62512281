"""Reading of single bits, as the headers of video codecs are written."""

from __future__ import annotations


class Bits:
    """Reads a raw byte sequence payload; IndexError behind its end."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.at = 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self.payload[self.at >> 3] >> 7 - (self.at & 7) & 1
            self.at += 1
        return value

    def skip(self, count: int) -> None:
        self.at += count

    def golomb(self) -> int:
        """ue(v), at most 32 bits; ValueError for more."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("no Exp-Golomb code")
        return (1 << zeros) - 1 + self.take(zeros)
