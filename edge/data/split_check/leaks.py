"""What a split has in two parts and should have in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from .belonging import LESION, PATIENT, Belonging

IMAGE, PAIR, NEAR_COPY = "image", "pair of duplicates", "near-copy"
KINDS = (IMAGE, PATIENT, LESION, PAIR, NEAR_COPY)  # in the order in which they are told


@dataclass(frozen=True)
class Leak:
    """One thing that is in two parts or more: an image, a patient, a lesion, or two pictures that are one."""

    kind: str  # of KINDS
    name: str  # the patient's or lesion's id; the images' for the others
    images: Mapping[str, tuple[str, ...]]  # part -> its images, as the split has them

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.images)


@dataclass(frozen=True)
class Placed:
    """The images of a split by key, each with every part that it is in."""

    parts: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str]  # key -> as the split has it


def placed(rows: Iterable[tuple[str, str]], belonging: Belonging) -> Placed:
    parts: dict[str, dict[str, None]] = {}
    names: dict[str, str] = {}
    for image, part in rows:
        key = belonging.key(image)
        parts.setdefault(key, {})[part] = None
        names.setdefault(key, image)
    return Placed({key: tuple(own) for key, own in parts.items()}, names)


def leaks_of(images: Placed, belonging: Belonging, near_copies: Sequence[tuple[str, str]] = ()) -> list[Leak]:
    """Everything that is in two parts; `near_copies` are pairs of image keys."""
    leaks = [
        Leak(IMAGE, images.names[key], {part: (images.names[key],) for part in parts})
        for key, parts in images.parts.items()
        if len(parts) > 1
    ]
    for kind in (PATIENT, LESION):
        leaks += shared_owners(images, belonging, kind)
    for kind, pairs in ((PAIR, belonging.pairs), (NEAR_COPY, near_copies)):
        for pair in dict.fromkeys(tuple(sorted(pair)) for pair in pairs):
            if all(key in images.parts for key in pair) and pair[0] != pair[1]:
                own = by_part(images, pair)
                if len(own) > 1:
                    leaks.append(Leak(kind, " and ".join(images.names[key] for key in pair), own))
    return leaks


def shared_owners(images: Placed, belonging: Belonging, kind: str) -> list[Leak]:
    of_owner: dict[str, list[str]] = {}
    for key in images.parts:
        for owner in belonging.owners.get(key, {}).get(kind, ()):
            of_owner.setdefault(owner, []).append(key)
    shared = ((owner, by_part(images, keys)) for owner, keys in sorted(of_owner.items()) if len(keys) > 1)
    return [Leak(kind, owner, own) for owner, own in shared if len(own) > 1]


def by_part(images: Placed, keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    parts: dict[str, list[str]] = {}
    for key in keys:
        for part in images.parts[key]:
            parts.setdefault(part, []).append(images.names[key])
    return {part: tuple(own) for part, own in parts.items()}


def counted(leaks: Sequence[Leak], parts: Sequence[str]) -> dict[str, dict[str, dict]]:
    """Kind -> "train and test" -> how many things they share, and how many images of each part that concerns.

    `parts`: all of them, in the order in which they are told.
    """
    counts: dict[str, dict[str, dict]] = {}
    for kind in KINDS:
        shared: Counter[tuple[str, str]] = Counter()
        concerned: dict[tuple[str, str], dict[str, set[str]]] = {}
        for leak in leaks:
            if leak.kind != kind:
                continue
            for pair in combinations(sorted(leak.parts, key=parts.index), 2):
                shared[pair] += 1
                for part in pair:
                    concerned.setdefault(pair, {}).setdefault(part, set()).update(leak.images[part])
        if shared:
            counts[kind] = {
                " and ".join(pair): {
                    "shared": number,
                    "images": {part: len(own) for part, own in concerned[pair].items()},
                }
                for pair, number in sorted(shared.items())
            }
    return counts


def groups_apart(images: Placed, belonging: Belonging, near_copies: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
    """The group of each image by key, near-copies joined too: who shares anything, also by way of others, is one."""
    for first, second in near_copies:
        belonging.groups.join(images.names[first], images.names[second])
    return {key: belonging.groups.of(name) for key, name in images.names.items()}


def clean_images(images: Placed, groups: Mapping[str, str]) -> set[str]:
    """Keys of the images whose whole group is in one part."""
    parts_of: dict[str, set[str]] = {}
    for key, parts in images.parts.items():
        parts_of.setdefault(groups[key], set()).update(parts)
    return {key for key in images.parts if len(parts_of[groups[key]]) == 1}
