"""docs/preprocess.md in plain loops over whole numbers: slow, without a library, the measure of every other version."""

from __future__ import annotations

from collections.abc import Sequence

Picture = list[list[list[int]]]  # rows of pixels of channels, 0..255

# 2^16 times: luma, V to R, U to G, V to G, U to B
COEFFICIENTS = {
    ("bt601", False): (76309, 104597, -25675, -53279, 132201),
    ("bt601", True): (65536, 91881, -22553, -46802, 116130),
    ("bt709", False): (76309, 117489, -13975, -34925, 138438),
    ("bt709", True): (65536, 103206, -12276, -30679, 121609),
}


def model_input(picture: Picture, side: int) -> Picture:
    return resized(centred_square(picture), side)


def centred_square(picture: Picture) -> Picture:
    height, width = len(picture), len(picture[0])
    n = min(height, width)
    top, left = (height - n) // 2, (width - n) // 2
    return [row[left : left + n] for row in picture[top : top + n]]


def resized(square: Picture, side: int) -> Picture:
    return [[resized_pixel(square, side, x, y) for x in range(side)] for y in range(side)]


def resized_pixel(square: Picture, side: int, x: int, y: int) -> list[int]:
    n = len(square)
    sums = [0] * len(square[0][0])
    for r in range(y * n // side, ((y + 1) * n - 1) // side + 1):
        high = min((y + 1) * n, (r + 1) * side) - max(y * n, r * side)
        for q in range(x * n // side, ((x + 1) * n - 1) // side + 1):
            wide = min((x + 1) * n, (q + 1) * side) - max(x * n, q * side)
            for c, value in enumerate(square[r][q]):
                sums[c] += high * wide * value
    return [(2 * total + n * n) // (2 * n * n) for total in sums]


def rgb_of_yuv(y: int, u: int, v: int, matrix: str, full_range: bool) -> list[int]:
    luma, v_to_r, u_to_g, v_to_g, u_to_b = COEFFICIENTS[matrix, full_range]
    bright = table(luma, y - (0 if full_range else 16))
    return [
        clamped(bright + table(v_to_r, v - 128)),
        clamped(bright + table(u_to_g, u - 128) + table(v_to_g, v - 128)),
        clamped(bright + table(u_to_b, u - 128)),
    ]


def table(coefficient: int, value: int) -> int:
    """In 64ths, rounded; `>>` of a negative number rounds down."""
    return (coefficient * value + 512) >> 10


def clamped(sixty_fourths: int) -> int:
    return max(0, min(255, (sixty_fourths + 32) >> 6))


def yuv_frame(
    y: Sequence[int], u: Sequence[int], v: Sequence[int], *, width: int, height: int,
    strides: tuple[int, int, int, int, int, int], matrix: str, full_range: bool,
) -> Picture:  # fmt: skip
    """`strides`: row and pixel stride of Y, of U, of V, in bytes."""
    yr, yp, ur, up, vr, vp = strides
    return [
        [
            rgb_of_yuv(
                y[row * yr + column * yp],
                u[row // 2 * ur + column // 2 * up],
                v[row // 2 * vr + column // 2 * vp],
                matrix,
                full_range,
            )
            for column in range(width)
        ]
        for row in range(height)
    ]


def bgra_frame(data: Sequence[int], *, width: int, height: int, row_stride: int) -> Picture:
    return [[[data[r * row_stride + 4 * q + c] for c in (2, 1, 0)] for q in range(width)] for r in range(height)]


def upright(
    picture: Picture, *, crop: Sequence[int] | None = None, rotation: int = 0, mirrored: bool = False
) -> Picture:
    """Crop (left, top, right, bottom), then turn clockwise, then mirror."""
    if crop:
        left, top, right, bottom = crop
        picture = [row[left:right] for row in picture[top:bottom]]
    for _ in range(rotation // 90):
        picture = [[picture[len(picture) - 1 - x][y] for x in range(len(picture))] for y in range(len(picture[0]))]
    return [row[::-1] for row in picture] if mirrored else picture
