"""What lies below a folder: photographs by name, masks, tables, and everything that is left out, with the reason."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from edge.capture import SUFFIXES
from edge.data.copies import same_bytes
from edge.data.csv_table import NOT_READ, plain
from edge.data.table import Photo
from edge.errors import InputError
from edge.paths import printable

MAX_PHOTOS = 1_000_000
MASK_ENDING = "_segmentation.png"
NO_PHOTOS = ("_segmentation", "_superpixels")  # what the ISIC challenges put beside photographs
MASKS_OF = re.compile(  # if there is such a photo
    r"(?P<photo>.+?)[-_. ](?P<word>masks?|seg|binary|lesion|groundtruth|gt|contours?|overlay|annotat(ed|ions?)"
    r"|heat_?map|thumb(nail)?)"
    r"|(?P<before>masks?|seg|segmentation|gt)[-_. ](?P<after>.+)",
    re.IGNORECASE,
)
DRAWN = re.compile(r"overlay|annotat|heat|thumb")
MASK_FOLDER = re.compile(r"(.*[-_ ])?(masks?|segmentations?|ground_?truths?|superpixels)", re.IGNORECASE)
SIDE_FOLDERS = {
    "@eaDir",
    "__MACOSX",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
}  # of network drives, a Mac, Windows
NO_PICTURES = {  # that nobody takes for a photograph
    ".csv", ".tsv", ".tab", ".json", ".txt", ".md", ".pdf", ".html", ".db", ".ini", ".xml", ".yaml", ".yml", ".log",
    ".safetensors", ".pt2", ".docx", ".rtf", ".py", ".sh", ".ipynb", ".sha256", ".md5", *NOT_READ,
}  # fmt: skip
ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz"}
LOOK_LIKE = dict(zip("авекмнорстухіјѕαβεηικμνορτυχ", "abekmhopctyxijsabehikmvoptux", strict=True))  # Cyrillic, Greek
NAMES_SHOWN = 3
NOT_UNPACKED = "archives that are not unpacked"  # reasons to leave a file out
BROKEN = "links that lead nowhere"
EMPTY = "empty files (0 bytes)"


@dataclass
class Contents:
    """What a walk through a folder finds; every list is sorted."""

    folder: Path
    photos: list[Path] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)  # <image>_segmentation.png
    left_out: dict[str, list[Path]] = field(default_factory=dict)  # reason -> files
    tables: list[Path] = field(default_factory=list)  # below the top, where no reader looks for them

    def leave_out(self, path: Path, reason: str) -> None:
        self.left_out.setdefault(reason, []).append(path)


def contents_of(folder: Path) -> Contents:
    """Look at every file below `folder`, through links too; InputError where a folder may not be read."""

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot look into {error.filename}: {error.strerror}; mend its permissions") from error

    contents, visited = Contents(folder), set[tuple[int, int]]()
    for where, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        here = Path(where)
        stat = here.stat()
        if (stat.st_dev, stat.st_ino) in visited:
            contents.leave_out(here, "folders that are here already, by a link")
            folders.clear()
            continue
        visited.add((stat.st_dev, stat.st_ino))
        for name in [name for name in folders if Path(name).suffix.lower() in SUFFIXES]:
            contents.leave_out(here / name, "folders that are called like a photograph")
            folders.remove(name)
        folders.sort()
        hidden = any(map(aside, here.relative_to(folder).parts))
        of_masks = any(MASK_FOLDER.fullmatch(part) for part in here.relative_to(folder).parts)
        names = set(files)
        for name in files:
            add_file(contents, here / name, names, hidden=hidden, of_masks=of_masks)
        if len(contents.photos) > MAX_PHOTOS:
            raise InputError(f"more than {MAX_PHOTOS} photographs below {folder}")
    for paths in (contents.photos, contents.masks, contents.tables, *contents.left_out.values()):
        paths.sort()
    return contents


def add_file(contents: Contents, path: Path, names: set[str], *, hidden: bool, of_masks: bool) -> None:
    """Sort a file in; `names`: of all files of its folder."""
    ending, ours = path.suffix.lower(), path.suffix.lower() in SUFFIXES
    if ours and not is_text(path.relative_to(contents.folder)):
        contents.leave_out(path, "names that are not UTF-8")
    elif hidden or aside(path.name):
        if ours:
            reason = "photographs in hidden or side folders" if hidden else "side files of a photograph (._name)"
            contents.leave_out(path, reason if hidden or path.name.startswith("._") else "hidden photographs (.name)")
    elif ending in NO_PICTURES:
        if ending in {".csv", ".tsv", ".tab", *NOT_READ} and path.parent != contents.folder:
            contents.tables.append(path)
    elif path.is_symlink() and not path.exists():
        contents.leave_out(path, BROKEN)
    elif not path.is_file():
        contents.leave_out(path, "no regular files")
    elif ending in ARCHIVES:
        contents.leave_out(path, NOT_UNPACKED)
    elif not ours:
        contents.leave_out(path, f"{ending or 'files without ending'} (not a format that is read)")
    elif path.stat().st_size == 0:
        contents.leave_out(path, EMPTY)
    elif path.name.lower().endswith(MASK_ENDING):
        contents.masks.append(path)
    elif path.stem.lower().endswith(NO_PHOTOS):
        contents.leave_out(path, f"*_{path.stem.lower().rpartition('_')[2]}{ending} that are no photographs")
    elif reason := made_of_a_photograph(path, names):
        contents.leave_out(path, reason)
    elif of_masks:
        contents.leave_out(path, "pictures in folders of masks")
    else:
        contents.photos.append(path)


def made_of_a_photograph(path: Path, names: set[str]) -> str:
    """Why a picture is no photograph but a mask or drawing of one that lies beside it; nothing if it may be one."""
    match = MASKS_OF.fullmatch(path.stem)
    if match is None:
        return ""
    photo = match["photo"] or match["after"]
    if not any(photo + suffix in names for suffix in endings_of(names)):
        return ""
    form = f"*_{match['word']}" if match["word"] else f"{match['before']}_*"
    form = (form + path.suffix).lower()
    drawn = f"pictures made of a photograph ({form}) beside it"
    return drawn if DRAWN.search(form) else f"masks ({form}) beside their photograph"


def is_text(path: Path) -> bool:
    """Whether a name can be written into a table or a checkpoint."""
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:  # a byte that is no text, as of an old archive
        return False
    return True


def endings_of(names: set[str]) -> set[str]:
    return {ending for name in names if (ending := Path(name).suffix).lower() in SUFFIXES}


def aside(name: str) -> bool:
    """Whether a file or folder is hidden, or what a Mac or a network drive puts beside files of the same name."""
    return name.startswith((".", "~$")) or name in SIDE_FOLDERS  # ~$: beside what Office has open


def notes_on(contents: Contents, *, used: Iterable[Path], otherwise: str) -> list[str]:
    """A line for each reason for which files are left out, with their number and the first names.

    `used`: photographs and masks that are in the set; `otherwise`: why the other photographs are not.
    """
    inside = set(used)
    reasons: dict[str, list[Path]] = {}
    for paths, reason in (
        *((paths, reason) for reason, paths in contents.left_out.items()),
        (contents.photos, otherwise),
        (contents.masks, "masks (*_segmentation.png) of no photograph here"),
        (contents.tables, "tables in folders of photographs, which nobody here reads"),
    ):
        if rest := [path for path in paths if path not in inside]:
            reasons.setdefault(reason, []).extend(rest)
    return [
        f"left out: {len(paths)} {reason}: {names_of(paths, contents.folder)}"
        for reason, paths in sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def names_of(paths: list[Path], folder: Path) -> str:
    """The first of them, relative to the folder."""
    shown = [printable(path.relative_to(folder).as_posix()) for path in paths[:NAMES_SHOWN]]
    return ", ".join(shown) + (", …" if len(paths) > NAMES_SHOWN else "")


def look_alikes(ids: Iterable[str]) -> list[str]:
    """A note on ids that look alike but for capitals, marks or zeros: they count as different, often wrongly."""
    forms: dict[str, set[str]] = {}
    for name in ids:
        forms.setdefault(rough(name), set()).add(name)
    alike = sorted(" and ".join(sorted(names)) for names in forms.values() if len(names) > 1)
    if not alike:
        return []
    shown = "; ".join(alike[:NAMES_SHOWN])
    rest = f"; {len(alike) - NAMES_SHOWN} more" if len(alike) > NAMES_SHOWN else ""
    return [f"ids that differ in capitals, marks or zeros alone, or look alike, count as different: {shown}{rest}"]


def rough(name: str) -> str:
    """An id without what people and programs write now so and now otherwise."""
    number = re.sub(r"\.0+$", "", unicodedata.normalize("NFKC", name).casefold())  # as pandas writes a column with gaps
    letters = "".join(LOOK_LIKE.get(c, str(unicodedata.digit(c, c))) for c in number)
    words = re.sub(r"[\W_]+", "_", letters).strip("_")
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"(?<=[a-z])_(?=\d)", "", words))  # P_1 is P1, and 1_1 is not 11


@dataclass
class Index:
    """The photographs below a folder by name, for a table that lists them."""

    contents: Contents
    by_name: dict[str, Path]
    by_small_name: dict[str, Path | None]  # in small letters; None where two names differ in capitals alone
    same_names: dict[str, list[Path]]  # different files of one name, which only their folders tell apart

    def find(self, name: str) -> Path | None:
        """The file of an id, which may lack its suffix, carry that of another format, or have folders in front.

        Raises InputError where it may be any of several files.
        """
        where, _, last = name.replace("\\", "/").rpartition("/")
        path = self._find_name(last)
        others = self.same_names.get(plain(path.name)) if path else None
        if not others:
            return path
        alike = [in_common(where.split("/"), plain(other.parent.as_posix()).split("/")) for other in others]
        if not max(alike) or alike.count(max(alike)) > 1:
            raise InputError(
                f"two files are called {others[0].name}: {others[0]} and {others[1]}; remove one, or give their "
                "folders in the table"
            )
        return others[alike.index(max(alike))]

    def _find_name(self, name: str) -> Path | None:
        if name in self.by_name:
            return self.by_name[name]
        stem = name.rsplit(".", 1)[0] if Path(name).suffix.lower() in SUFFIXES else name
        endings = [ending for suffix in sorted(SUFFIXES) for ending in (suffix, suffix.upper())]
        exact = next((self.by_name[stem + ending] for ending in endings if stem + ending in self.by_name), None)
        small = (self.by_small_name.get(f"{stem}{suffix}".casefold()) for suffix in sorted(SUFFIXES))
        return exact or next(filter(None, small), None)


def in_common(first: list[str], second: list[str]) -> int:
    """How many folders two paths have in common, from the last one up."""
    pairs = zip(reversed(first), reversed(second), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def index_photos(contents: Contents) -> Index:
    """By file name. Of copies of one file the first counts."""
    named: dict[str, list[Path]] = {}
    for path in contents.photos:
        named.setdefault(plain(path.name), []).append(path)
    by_name = {name: paths[0] for name, paths in named.items()}
    same_names: dict[str, list[Path]] = {}
    copies: set[Path] = set()
    for name, paths in named.items():
        if len(paths) == 1:
            continue
        later = {path for group in same_bytes(paths) for path in group[1:]}
        for path in paths:
            if path in later:
                contents.leave_out(path, "further copies of a file, under the same name")
        copies |= later
        if len(paths) - len(later) > 1:
            same_names[name] = [path for path in paths if path not in later]
    contents.photos = [path for path in contents.photos if path not in copies]
    small: dict[str, Path | None] = {}
    for name, path in by_name.items():
        small[name.casefold()] = None if name.casefold() in small else path
    return Index(contents, by_name, small, same_names)


def refuse_missing(table: Path, missing: list[str], rows: int, contents: Contents, *, skip_missing: bool) -> list[str]:
    """A note on the images that are missing; InputError unless they may be."""
    if not missing:
        return []
    unnamed = missing.count("")
    if unnamed:
        raise InputError(f"{table} has {unnamed} rows that name no image; complete or remove them")
    text = f"{len(missing)} of the {rows} images in {table} are missing, first {', '.join(missing[:3])}"
    if not skip_missing or len(missing) == rows:
        raise InputError(
            f"{text}. {hint(missing, contents)}Put them below {contents.folder}, or go on without them with "
            "`skip_unreadable`"
        )
    return [text]


def hint(missing: list[str], contents: Contents) -> str:
    """What lies there instead of the missing photographs, if that can be told."""
    absent = {Path(name).stem if Path(name).suffix.lower() in SUFFIXES else name for name in missing}
    for reason, paths in contents.left_out.items():
        if own := [path for path in paths if path.stem in absent]:
            return f"{len(own)} of them are here and left out as {reason}: {names_of(own, contents.folder)}. "
    packed = contents.left_out.get(NOT_UNPACKED)
    return f"Unpack {names_of(packed, contents.folder)} first. " if packed else ""


def refuse_doubles(tables: list[Path], photos: list[Photo]) -> None:
    """InputError where an image is listed twice, or a.png and a.jpg are one file."""
    names = ([photo.image_id for photo in photos], [photo.path for photo in photos])
    double = next(filter(None, ([str(name) for name, n in Counter(listed).items() if n > 1] for listed in names)), [])
    if double:
        several = "list" if len(tables) > 1 else "lists"
        raise InputError(
            f"{' and '.join(map(str, tables[:NAMES_SHOWN]))} {several} {double[0]} "
            f"{'and others ' if len(double) > 1 else ''}more than once"
            + ("; keep one of the tables" if len(tables) > 1 else "")
        )
