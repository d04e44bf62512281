"""A set of labelled photographs, whatever layout it came in."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

from edge.capture import SUFFIXES
from edge.labels import MALIGNANT, Label
from edge.questionnaire import Answer
from edge.shards import digest_of

UNKNOWN = ""  # the label of a photograph that has a mask and no class


def stem(image_id: str) -> str:
    """An image id without its file suffix: re-encoded copies keep the stem."""
    if image_id[image_id.rfind(".") :].lower() not in SUFFIXES:  # quick, for tables of a million rows
        return image_id
    path = Path(image_id)
    return path.with_suffix("").as_posix() if path.suffix.lower() in SUFFIXES else image_id


@dataclass(frozen=True)
class Photo:
    path: Path
    image_id: str  # unique in its data set
    label: str  # a class code, or UNKNOWN
    patient: str  # what must not be on both sides of a split; a lesion or a session where no patient is known
    domain: str  # the data set it is from
    mask: Path | None = None  # of the lesion, where somebody drew one
    # what the person said, by question (`edge.nine_questions`); what is not there was not answered
    answers: Mapping[str, Answer] = field(default_factory=dict, hash=False)
    lesion: str = ""  # equal for photographs of one lesion; empty where no table says so
    site: str = ""  # a part of the body too coarse to answer the question for the region, as `lower extremity`
    # what other sets call the same photograph and patient: data set, image or "", patient or "" (`edge.data.identity`)
    also_known_as: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class PreparedFolds:
    """The folds that a balanced set was made with (`edge.data.prepared`), by image ids."""

    train: tuple[frozenset[str], ...]
    test: tuple[frozenset[str], ...]
    copies: frozenset[str]  # images that are augmented copies of others
    sound: bool  # whether no patient is in two folds and test parts are photographs alone


@dataclass(frozen=True)
class PhotoSet:
    name: str
    classes: tuple[Label, ...]  # in output order; none where no photograph has one
    photos: tuple[Photo, ...]
    synthetic: bool = False
    licence: str = "unknown"
    notes: tuple[str, ...] = ()  # what a person should know: rows missing, groups guessed
    official: bool = False  # whether its table has the official one's counts; where neither, nobody here can tell
    altered: str = ""  # how the table differs from the official one of this set, in a sentence that `notes` has too
    prepared: PreparedFolds | None = None  # of a balanced set
    joined: bool = False  # whether it is a table of several sets
    packed_side: int = 0  # pixels of the squares that it lies in shards as; 0 where photographs are as they were

    def __len__(self) -> int:
        return len(self.photos)

    def where(self, keep: Callable[[Photo], bool]) -> PhotoSet:
        """The set with the photographs that `keep` is true of."""
        return replace(self, photos=tuple(photo for photo in self.photos if keep(photo)))

    def with_notes(self, notes: Iterable[str]) -> PhotoSet:
        """The set with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def prepared_as(self, folds: PreparedFolds, *, synthetic: bool, licence: str) -> PhotoSet:
        """The set as one that was balanced, with its folds."""
        return replace(self, prepared=folds, synthetic=synthetic, licence=licence)

    def natural(self) -> PhotoSet:
        """Without augmented copies: nothing but photographs is judged."""
        copies = self.prepared.copies if self.prepared else frozenset[str]()
        return self.where(lambda photo: photo.image_id not in copies) if copies else self

    @property
    def domain(self) -> str:
        """The data set that the photographs are from; nothing where there are none."""
        return self.photos[0].domain if self.photos else ""

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(label.code for label in self.classes)

    @property
    def targets(self) -> list[int]:
        """Index of each photograph's class in `classes`; -1 where it is unknown."""
        index = {code: i for i, code in enumerate(self.codes)} | {UNKNOWN: -1}
        return [index[photo.label] for photo in self.photos]

    @property
    def patients(self) -> list[str]:
        return [photo.patient for photo in self.photos]

    @property
    def counts(self) -> dict[str, int]:
        counted = Counter(photo.label for photo in self.photos)
        return {code: counted[code] for code in self.codes}

    def sha256(self) -> str:
        """Digest of ids, labels, groups and contents of the files, masks too: the same set gives the same anywhere."""
        digest = hashlib.sha256()
        for photo in sorted(self.photos, key=lambda photo: photo.image_id):
            facts = [photo.image_id, photo.label, photo.patient, digest_of(photo.path)]
            if photo.mask is not None:
                facts.append(digest_of(photo.mask))
            digest.update("\t".join(facts).encode() + b"\n")
        return digest.hexdigest()

    def _repr_html_(self) -> str:
        """A short table for notebooks."""
        kind = "computer-drawn images" if self.synthetic else "photographs"
        rows = "".join(
            f"<tr><td>{escape(label.code)}</td><td>{escape(label.name)}</td><td>{MALIGNANT[label.malignant]}</td>"
            f"<td style='text-align:right'>{self.counts[label.code]:,}</td></tr>"
            for label in self.classes
        )
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return (
            f"<p><b>{escape(self.name)}</b>: {len(self):,} {kind} of {len(set(self.patients)):,} patients, "
            f"licence {escape(self.licence)}</p><table><tr><th>class</th><th>name</th><th>malignant</th><th>images</th>"
            f"</tr>{rows}</table>" + (f"<ul>{notes}</ul>" if notes else "")
        )

    def summary(self) -> dict:
        """What checkpoints and reports say about the data."""
        return {
            "name": self.name,
            "images": len(self.photos),
            "patients": len(set(self.patients)),
            "classes": self.counts,
            "synthetic": self.synthetic,
            "licence": self.licence,
            **({"packed_side": self.packed_side} if self.packed_side else {}),
        }
