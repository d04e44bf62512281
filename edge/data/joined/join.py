"""Several data sets -> the rows of one table, in the classes of one of them; a photograph counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.capture import upright_size
from edge.data.copies import same_bytes
from edge.data.identity import family, joined_id, own_id, patient_key, photo_key
from edge.data.official import OFFICIAL
from edge.data.selection import NAMED
from edge.data.shards.on_demand import on_demand
from edge.data.table import Photo, PhotoSet, stem
from edge.errors import InputError
from edge.labels import Label

from .class_maps import MIXES, NONE, RANKS, Becomes, becomes, classes_named

COPY = "in another set as well, where its class is told at least as exactly"
APART = "of the same photograph sets say different classes"


@dataclass(frozen=True)
class Row:
    """A photograph of the table, or one that is left out of it."""

    photo: Photo  # with ids that no other set has and, in the table, the class that it becomes
    source_label: str  # the class that its own set gives it
    licence: str
    reason: str = ""  # why it is left out


@dataclass(frozen=True)
class Pair:
    """What became of a class of a set."""

    source: str  # name of the set
    domain: str
    label: Label
    photographs: int
    becomes: Becomes


@dataclass(frozen=True)
class Joined:
    name: str
    target: str  # a name of `class_maps.CLASSES`
    classes: tuple[Label, ...]
    rows: tuple[Row, ...]  # in the order of the sets
    left_out: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    sets: tuple[PhotoSet, ...]
    synthetic: bool

    @property
    def counts(self) -> dict[str, int]:
        """Photographs of each class."""
        counted = Counter(row.photo.label for row in self.rows)
        return {label.code: counted[label.code] for label in self.classes}

    @property
    def reasons(self) -> dict[tuple[str, str, str], int]:
        """How many are left out, by set, its own class, and why."""
        return dict(Counter((row.photo.domain, row.source_label, row.reason) for row in self.left_out))


def join(sets: Sequence[PhotoSet], target: str, *, exact: bool = False, official: bool = False) -> Joined:
    """The photographs of all sets in the classes of `target`, a name of `class_maps.CLASSES`.

    A photograph that several sets have (under an id of ISIC or PAD-UFES-20, or byte for byte) is there once, with the
    class of the set that tells it most exactly, and with what any of them says of its lesion, mask and answers. Who is
    one patient in any set is one in the table. `exact`: classes that would be mixed are left out, too. `official`:
    raises InputError for a set whose table is not known to be the official one. Also raises it for sets of one name,
    for a table of several sets, for drawn images beside photographs, and where no photograph has a counterpart in two
    classes.
    """
    classes = classes_named(target)
    check_sets(sets, official=official)
    mapped = {
        (photos.domain, label.code): becomes(photos.domain, label, target)
        for photos in sets
        for label in photos.classes
    }
    if exact:
        mapped = {
            key: Becomes("", NONE, f"mixed, and left out: {own.why}") if own.kind == MIXES else own
            for key, own in mapped.items()
        }
    photos = [photo for part in sets for photo in part.photos]
    licences = [part.licence for part in sets for _ in part.photos]
    people = people_of(photos)
    kept: dict[int, Row] = {}
    left_out: dict[int, Row] = {}
    for places in same_photographs(photos):
        best, reasons = chosen(places, photos, mapped)
        for place in places:
            photo = with_joined_ids(photos[place], people[place].name)
            if place == best:
                others = [photos[other] for other in places]
                whole = replace(merged(photo, others), also_known_as=also_known_as(photo, others, people[place]))
                code = mapped[photo.domain, photo.label].code
                kept[place] = Row(replace(whole, label=code), photo.label, licences[place])
            else:
                left_out[place] = Row(photo, photo.label, licences[place], reasons[place])
    present = {row.photo.label for row in kept.values()}
    if len(present) < 2:
        raise InputError(
            f"in the classes of {target} the photographs are {', '.join(present) or 'none'}; at least two classes are "
            f"needed. Left out: {first_reasons(left_out.values())}"
        )
    pairs = tuple(
        Pair(part.name, part.domain, label, part.counts[label.code], mapped[part.domain, label.code])
        for part in sets
        for label in part.classes
        if part.counts[label.code]
    )
    return Joined(
        " + ".join(part.name for part in sets), target, classes, tuple(kept[place] for place in sorted(kept)),
        tuple(left_out[place] for place in sorted(left_out)), pairs, tuple(sets),
        synthetic=any(part.synthetic for part in sets),
    )  # fmt: skip


def check_sets(sets: Sequence[PhotoSet], *, official: bool) -> None:
    packed = next((photos.name for photos in sets if on_demand(photos)), None)
    if packed:
        raise InputError(f"{packed} lies in shards, whose photographs no table names; join what the shards are made of")
    table = next((photos.name for photos in sets if photos.joined), None)
    if table:
        raise InputError(f"{table} is a table of several sets already; join these sets and the others in one go")
    names = [(photos.name, photos.domain) for photos in sets]
    twice = next((name for name, _ in names if [other for other, _ in names].count(name) > 1), None)
    if twice:
        raise InputError(f"two sets are called {twice}; a set of class folders has the name of its folder: rename one")
    clinics = [domain for _, domain in names if domain not in NAMED]
    same = next((domain for domain in clinics if clinics.count(domain) > 1), None)
    if same:
        raise InputError(f"two folders of classes are called {same}, but for marks and capitals; rename one")
    if len({photos.synthetic for photos in sets}) > 1:
        raise InputError("drawn images are not joined with photographs; leave the synthetic sample out")
    balanced = next((photos.name for photos in sets if photos.prepared), None)
    if balanced:
        raise InputError(f"{balanced} is a balanced set with augmented copies; join the photographs that it is made of")
    doubtful = next((photos for photos in sets if not photos.official), None)
    if official and doubtful:
        own = doubtful.altered or (
            f"nobody here can tell whether its table is official; such are known of {', '.join(OFFICIAL)}"
        )
        raise InputError(f"{doubtful.name}: {own}. Get the official table, or join without `official`")


def same_photographs(photos: Sequence[Photo]) -> list[list[int]]:
    """Places of the photographs, those of one picture together: by `photo_key`, and byte for byte."""
    by_key: dict[str, list[int]] = {}
    for place, photo in enumerate(photos):
        by_key.setdefault(photo_key(photo), []).append(place)
    by_path: dict[Path, list[int]] = {}
    for place, photo in enumerate(photos):
        by_path.setdefault(photo.path, []).append(place)
    copies = [[place for path in group for place in by_path[path]] for group in same_bytes(by_path)]
    return together(len(photos), [*by_key.values(), *by_path.values(), *copies])


@dataclass(frozen=True)
class Person:
    """A patient, or a lesion of nobody known, in the table."""

    name: str
    own: frozenset[tuple[str, str]]  # data set, and what it calls the person


def people_of(photos: Sequence[Photo]) -> list[Person]:
    """Whom each photograph belongs to: one where a set gives two photographs to one patient, or two sets have one.

    They are called as the first set calls them that names a person, else a lesion, else a photograph.
    """
    own: dict[str, list[int]] = {}
    for place, photo in enumerate(photos):
        own.setdefault(patient_key(photo), []).append(place)
    people: dict[int, Person] = {}
    for group in together(len(photos), [*own.values(), *same_photographs(photos)]):
        first = min((photos[place] for place in group), key=stands_for)  # of equals the first
        name = joined_id(first.domain, first.patient, unique=first.domain in NAMED)
        called: dict[tuple[str, str], str] = {}  # a set of ISIC for all of them
        for place in group:
            called.setdefault((family(photos[place].domain), photos[place].patient), photos[place].domain)
        person = Person(name, frozenset((domain, patient) for (_, patient), domain in called.items()))
        people |= dict.fromkeys(group, person)
    return [people[place] for place in range(len(photos))]


def stands_for(photo: Photo) -> int:
    """What a set calls the patient of a photograph after: 0 a person, 1 a lesion, 2 the photograph itself."""
    name = photo.patient.removeprefix("isic:").casefold()
    if name in {photo.image_id.casefold(), stem(photo.image_id).casefold()}:
        return 2
    return int(name == photo.lesion.casefold())


def also_known_as(photo: Photo, copies: Iterable[Photo], person: Person) -> tuple[tuple[str, str, str], ...]:
    """As `Photo` has it, of one with the table's ids: what the sets call its person, and its `copies` in others."""
    names = {(domain, "", called) for domain, called in person.own} if len(person.own) > 1 else set()
    own = family(photo.domain), own_id(photo.domain, photo.image_id)
    others = (copy for copy in copies if (family(copy.domain), copy.image_id) != own)
    return tuple(sorted(names | {(copy.domain, copy.image_id, copy.patient) for copy in others}))


def together(number: int, groups: Sequence[Sequence[int]]) -> list[list[int]]:
    """0 to `number` - 1 in the groups that grow of those that share a member, each sorted, by their first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first = np.array([group[0] for group in groups for _ in group], np.int64)
    each = np.array([place for group in groups for place in group], np.int64)
    _, names = connected_components(coo_array((np.ones(len(each), bool), (first, each)), shape=(number, number)), False)
    members: dict[int, list[int]] = {}
    for place, name in enumerate(names.tolist()):
        members.setdefault(name, []).append(place)
    return list(members.values())


def chosen(
    places: Sequence[int], photos: Sequence[Photo], mapped: dict[tuple[str, str], Becomes]
) -> tuple[int | None, dict[int, str]]:
    """The place whose class is told most exactly, of equals the first; and why each of the others is left out.

    None where no set has a counterpart, and where two that tell it equally well say different classes.
    """
    own = {place: mapped[photos[place].domain, photos[place].label] for place in places}
    best = min(places, key=lambda place: (RANKS.index(own[place].kind), place))
    if own[best].kind == NONE:
        return None, {place: own[place].why for place in places}
    equal = [place for place in places if own[place].kind == own[best].kind]
    if len({own[place].code for place in equal}) > 1:
        return None, dict.fromkeys(places, APART)
    return best, dict.fromkeys(places, COPY)


def with_joined_ids(photo: Photo, patient: str) -> Photo:
    unique = photo.domain in NAMED
    return replace(
        photo,
        image_id=joined_id(photo.domain, photo.image_id, unique=unique),
        patient=patient,
        lesion=joined_id(photo.domain, photo.lesion, unique=unique) if photo.lesion else "",
    )


def merged(photo: Photo, all_of_it: Sequence[Photo]) -> Photo:
    """With the mask, the lesion and the answers that its own set lacks and another has."""
    others = [other for other in all_of_it if other.path != photo.path]
    answers = dict(photo.answers)
    for other in others:
        answers = {**other.answers, **answers}
    lesion = photo.lesion or next((with_joined_ids(other, "").lesion for other in others if other.lesion), "")
    mask = photo.mask
    if mask is None:  # it lies over its photograph pixel by pixel, and some sets reduced theirs
        masked = (other for other in others if other.mask)
        mask = next((other.mask for other in masked if upright_size(other.path) == upright_size(photo.path)), None)
    site = photo.site or next((other.site for other in others if other.site), "")
    return replace(
        photo, lesion=lesion, mask=mask, answers=answers, site="" if "region" in answers else site
    )  # fmt: skip


def first_reasons(rows: Iterable[Row]) -> str:
    counted = Counter(f"{row.source_label} of {row.photo.domain} ({row.reason})" for row in rows)
    return "; ".join(f"{number} {what}" for what, number in counted.most_common(3)) or "nothing"
