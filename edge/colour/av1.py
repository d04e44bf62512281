"""The colour that an AV1 bitstream states about itself, in its sequence header (AV1 bitstream specification, 5.5)."""

from __future__ import annotations

from .bits import Bits

SEQUENCE_HEADER = 1  # type of an open bitstream unit
MAX_UNITS = 16  # before it; only a temporal delimiter and padding may be
SELECTED_PER_FRAME = 2  # seq_force_screen_content_tools


def codes_in(stream: bytes) -> tuple[int, int] | None:
    """Colour primaries and transfer characteristics; None where they are not stated or cannot be read."""
    try:
        at = 0
        for _ in range(MAX_UNITS):
            head = stream[at]
            at += 2 if head & 4 else 1
            size = len(stream) - at
            if head & 2:
                size, at = leb128(stream, at)
            if head >> 3 & 15 == SEQUENCE_HEADER:
                return codes_of_header(Bits(stream[at : at + size]))
            at += size
    except IndexError:
        pass
    return None


def leb128(stream: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it (4.10.5)."""
    value = 0
    for number in range(8):
        byte = stream[at + number]
        value |= (byte & 0x7F) << 7 * number
        if not byte & 0x80:
            return value, at + number + 1
    raise IndexError("a number of more than eight bytes")


def codes_of_header(bits: Bits) -> tuple[int, int] | None:
    """5.5.1 up to the colour description of 5.5.2."""
    profile = bits.take(3)
    bits.skip(1)
    reduced = bits.take(1)  # of a still picture
    if reduced:
        bits.skip(5)
    else:
        skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    bits.skip(width_bits + height_bits)
    if not reduced and bits.take(1):  # frame numbers
        bits.skip(4 + 3)
    bits.skip(3)
    if not reduced:
        skip_tools(bits)
    bits.skip(3)
    deep = bits.take(1)
    if profile == 2 and deep:
        bits.skip(1)
    if profile != 1:
        bits.skip(1)  # grey
    return (bits.take(8), bits.take(8)) if bits.take(1) else None


def skip_operating_points(bits: Bits) -> None:
    delay_bits = 0
    model = 0
    if bits.take(1):  # timing
        bits.skip(64)
        if bits.take(1):
            skip_uvlc(bits)
        model = bits.take(1)
        if model:
            delay_bits = bits.take(5) + 1
            bits.skip(32 + 5 + 5)
    display_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.skip(12)
        if bits.take(5) > 7:
            bits.skip(1)
        if model and bits.take(1):
            bits.skip(2 * delay_bits + 1)
        if display_delay and bits.take(1):
            bits.skip(4)


def skip_uvlc(bits: Bits) -> None:
    """4.10.3."""
    zeros = 0
    while not bits.take(1):
        zeros += 1
    bits.skip(zeros if zeros < 32 else 0)


def skip_tools(bits: Bits) -> None:
    bits.skip(4)
    order = bits.take(1)
    if order:
        bits.skip(2)
    screen = SELECTED_PER_FRAME if bits.take(1) else bits.take(1)
    if screen and not bits.take(1):
        bits.skip(1)
    if order:
        bits.skip(3)
