"""The colour that an HEVC bitstream states about itself, in its sequence parameter set (ITU-T H.265, annex E)."""

from __future__ import annotations

from .bits import Bits

MAX_SETS = 64  # of reference pictures; 7.4.3.2.1
MAX_LONG_TERM = 32
SPS = 33  # NAL unit type
EXTENDED_RATIO = 255
RESERVED = (frozenset({0, 3, *range(13, 22), *range(23, 256)}), frozenset({0, 3, *range(19, 256)}))


def codes_in(configuration: bytes) -> tuple[int, int] | None:
    """Colour primaries and transfer characteristics of an `hvcC` box; None where it states none or cannot be read.

    Reserved codes count as 2, unspecified, as E.3.1 asks of decoders.
    """
    try:
        for unit in units_of(configuration):
            if len(unit) > 2 and unit[0] >> 1 & 0x3F == SPS:
                codes = codes_of_set(Bits(unit[2:].replace(b"\0\0\3", b"\0\0")))
                if codes is None:
                    return None
                primaries, transfer = (2 if code in held else code for code, held in zip(codes, RESERVED, strict=True))
                return primaries, transfer
    except (IndexError, ValueError):
        pass
    return None


def units_of(configuration: bytes) -> list[bytes]:
    """The NAL units of an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1)."""
    units: list[bytes] = []
    at = 23
    for _ in range(configuration[22]):
        count = int.from_bytes(configuration[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            if at + 2 > len(configuration):
                return units
            size = int.from_bytes(configuration[at : at + 2], "big")
            units.append(configuration[at + 2 : at + 2 + size])
            at += 2 + size
    return units


def codes_of_set(bits: Bits) -> tuple[int, int] | None:
    """7.3.2.2 up to the VUI, and E.2.1 up to the colour description."""
    bits.skip(4)
    layers = bits.take(3)  # sps_max_sub_layers_minus1
    bits.skip(1)
    skip_profile_and_level(bits, layers)
    bits.golomb()
    if bits.golomb() == 3:  # chroma_format_idc 4:4:4
        bits.skip(1)
    bits.golomb()
    bits.golomb()
    if bits.take(1):  # conformance window
        for _ in range(4):
            bits.golomb()
    bits.golomb()
    bits.golomb()
    order_bits = bits.golomb() + 4
    for _ in range(1 + layers if bits.take(1) else 1):
        for _ in range(3):
            bits.golomb()
    for _ in range(6):  # sizes of coding and transform blocks
        bits.golomb()
    if bits.take(1) and bits.take(1):
        skip_scaling_lists(bits)
    bits.skip(2)  # asymmetric partitions, sample adaptive offset
    if bits.take(1):  # PCM
        bits.skip(8)
        bits.golomb()
        bits.golomb()
        bits.skip(1)
    skip_reference_sets(bits)
    if bits.take(1):
        for _ in range(bounded(bits.golomb(), MAX_LONG_TERM)):
            bits.skip(order_bits + 1)
    bits.skip(2)  # temporal prediction, strong intra smoothing
    return colour_of_vui(bits) if bits.take(1) else None


def colour_of_vui(bits: Bits) -> tuple[int, int] | None:
    if bits.take(1) and bits.take(8) == EXTENDED_RATIO:
        bits.skip(32)
    if bits.take(1):
        bits.skip(1)  # overscan
    if not bits.take(1):
        return None
    bits.skip(4)  # video format, full range
    if not bits.take(1):
        return None
    return bits.take(8), bits.take(8)


def skip_profile_and_level(bits: Bits, layers: int) -> None:
    bits.skip(88 + 8)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.skip(2 * (8 - layers))
    for profile, level in present:
        bits.skip(88 * profile + 8 * level)


def skip_scaling_lists(bits: Bits) -> None:
    """7.3.4."""
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.take(1):
                bits.golomb()
            else:
                for _ in range(min(64, 1 << 4 + 2 * size) + (size > 1)):
                    bits.golomb()


def skip_reference_sets(bits: Bits) -> None:
    """7.3.7, for sets in a sequence parameter set."""
    count = bounded(bits.golomb(), MAX_SETS)
    pictures = 0  # in the set before
    for number in range(count):
        if number and bits.take(1):  # predicted from the set before
            bits.skip(1)
            bits.golomb()
            used = 0
            for _ in range(pictures + 1):
                if bits.take(1) or bits.take(1):
                    used += 1
            pictures = used
        else:
            pictures = bounded(bits.golomb(), 16) + bounded(bits.golomb(), 16)
            for _ in range(pictures):
                bits.golomb()
                bits.skip(1)


def bounded(value: int, limit: int) -> int:
    if value > limit:
        raise ValueError(f"{value} where H.265 allows {limit}")
    return value
