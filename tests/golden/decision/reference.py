"""docs/decision.md in plain loops over whole numbers: slow, without a library, the measure of every other version."""

from __future__ import annotations

Picture = list[list[list[int]]]  # rows of pixels of R, G, B, 0..255

# In the order in which they are looked at; "min": less than the limit is refused, "max": more.
ORDER = [
    ("light", "min"),
    ("clipped", "max"),
    ("contrast", "min"),
    ("fine", "min"),
    ("coarse", "min"),
    ("busy", "max"),
    ("warm", "min"),
    ("green", "max"),
    ("spot", "min"),
]
# What a person is told where it is the first that failed.
WORDS = {
    "light": "too dark: find more light",
    "clipped": "too bright: avoid glare and direct light",
    "contrast": "nothing to be seen: bring the spot into the middle and keep the lens free",
    "fine": "blurred: hold still and let the camera focus",
    "coarse": "blurred or shaken: hold still and let the camera focus",
    "busy": "too much fine structure for skin: go closer, and point at the spot",
    "warm": "hardly any colour of skin: point at the spot, in white light",
    "green": "too much green for skin: point at the spot, in white light",
    "spot": "no spot to be seen: bring it into the middle and go closer",
}


def measure(picture: Picture) -> dict[str, int]:
    side = len(picture)
    luma = [[(77 * r + 150 * g + 29 * b + 128) // 256 for r, g, b in row] for row in picture]
    ordered = sorted(value for row in luma for value in row)
    count = side * side
    clipped = warm = green = 0
    for y in range(side):
        for x in range(side):
            r, g, b = picture[y][x]
            if luma[y][x] >= 250:
                clipped += 1
            if r > 0 and r >= g and r >= b and 16 * (r - min(g, b)) >= r:
                warm += 1
            if g > r + 8 and g > b + 8:
                green += 1
    across, down = {}, {}
    for step in (1, 2, 4):
        across[step] = down[step] = 0
        for y in range(side):
            for x in range(side):
                if x + step < side:
                    across[step] += (luma[y][x + step] - luma[y][x]) ** 2
                if y + step < side:
                    down[step] += (luma[y + step][x] - luma[y][x]) ** 2
    return {
        "light": ordered[(count - 1) * 90 // 100],
        "clipped": 1000 * clipped // count,
        "contrast": ordered[(count - 1) * 95 // 100] - ordered[(count - 1) * 5 // 100],
        "fine": min(ratio(across[1], across[2]), ratio(down[1], down[2])),
        "coarse": min(ratio(across[1], across[4]), ratio(down[1], down[4])),
        "busy": ratio(across[1] + down[1], across[2] + down[2]),
        "warm": 1000 * warm // count,
        "green": 1000 * green // count,
        "spot": spot(luma),
    }


def spot(luma: list[list[int]]) -> int:
    side = len(luma)
    cells = min(16, side)
    means = []
    for i in range(cells):
        row = []
        for j in range(cells):
            values = [
                luma[y][x]
                for y in range(i * side // cells, (i + 1) * side // cells)
                for x in range(j * side // cells, (j + 1) * side // cells)
            ]
            row.append(sum(values) // len(values))
        means.append(row)
    border = sorted(
        means[i][j] for i in range(cells) for j in range(cells) if i in (0, cells - 1) or j in (0, cells - 1)
    )
    usual = border[(len(border) - 1) // 2]
    largest = 0
    for i in range(cells // 4, cells - cells // 4):
        for j in range(cells // 4, cells - cells // 4):
            largest = max(largest, abs(means[i][j] - usual))
    return largest


def ratio(near: int, far: int) -> int:
    return min(9999, 1000 * near // max(far, 1))


def decide(
    measured: dict[str, int], limits: dict[str, int], probabilities: list[float], threshold: float, labels: list[str]
) -> dict[str, object]:
    failed = []
    for name, kind in ORDER:
        if kind == "min" and measured[name] < limits[name]:
            failed.append(name)
        if kind == "max" and measured[name] > limits[name]:
            failed.append(name)
    if failed:
        return {"outcome": "retake", "label": None, "failed": failed, "reason": WORDS[failed[0]]}
    best = 0
    for place in range(1, len(probabilities)):
        if probabilities[place] > probabilities[best]:
            best = place
    if probabilities[best] < threshold:
        return {"outcome": "uncertain", "label": None, "failed": []}
    return {"outcome": "class", "label": labels[best], "failed": []}
