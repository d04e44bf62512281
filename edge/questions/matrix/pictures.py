"""The pictures that files are run on: any folder's, or the photographs at hand, or drawn ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge import artifact
from edge.build import weights_in
from edge.capture import SUFFIXES, read_photo
from edge.checkpoint import Checkpoint, load, shipped, shipped_models
from edge.data.identity import patient_key
from edge.data.selection import Photographs, find_sets, unseen
from edge.errors import InputError
from edge.manifest import Manifest
from edge.preprocess import to_input
from edge.progress import track


@dataclass(frozen=True)
class Pictures:
    """Paths of pictures, and what to say of them."""

    name: str
    paths: tuple[Path, ...]
    synthetic: bool
    note: str


def pictures_in(folder: Path | None, count: int) -> Pictures:
    """At most `count` pictures, spread evenly over the sorted names; InputError where there is none.

    `folder` None: the photographs in the folder that DERMEDGE_PHOTOS names, else the synthetic sample.
    """
    if folder is None:
        photos = find_sets(None)[0]
        paths = sorted(photo.path for photo in photos.photos)
        note = "; ".join(photos.notes)
        return Pictures(photos.name, spread(paths, count), photos.synthetic, note)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; the pictures are in a folder with pictures")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise InputError(f"{folder} holds no picture; known endings are {', '.join(sorted(SUFFIXES))}")
    return Pictures(folder.resolve().name, spread(paths, count), False, f"{len(paths)} pictures in the folder")


def photographs_in(
    data: Photographs, count: int, folders: Iterable[Path], checkpoints: Sequence[Path] = ()
) -> Pictures:
    """As `pictures_in`, of data sets: no augmented copies, and nobody whom one of the networks saw.

    `folders`: where the files lie, with our manifest or without. `checkpoints`: of networks, beside those that lie in
    the folders or are shipped. Raises InputError where a set cannot be read, one of the networks saw everybody in it,
    or a manifest is of a checkpoint that is not there.
    """
    folders = set(folders)
    ours = sorted(folder for folder in folders if artifact.is_ours(folder))
    networks, names = networks_of(ours, checkpoints)
    sets = [part.natural() for part in find_sets(data)]
    for network in networks:
        sets = [unseen(part, network) for part in sets]
    photos = [photo for part in sets for photo in part.photos]
    if not photos:
        raise InputError("no photograph is left to look at: the networks saw every patient, or the sets are empty")
    note = f"{len(photos)} photographs of {len({patient_key(photo) for photo in photos})} patients"
    if names:
        note += f" that no network of {', '.join(names)} saw"
    if len(ours) < len(folders):
        note += "; which of them taught the other networks is not known" if names else "; who taught it is not known"
    return Pictures(
        " + ".join(part.name for part in sets),
        spread([photo.path for photo in photos], count),
        any(part.synthetic for part in sets),
        "; ".join([note, *(text for part in sets for text in part.notes)]),
    )


def networks_of(ours: Sequence[Path], checkpoints: Sequence[Path]) -> tuple[list[Checkpoint], list[str]]:
    """The networks, each once, and what to call them: our folders, and `checkpoints` of none of these.

    Of the folders only the manifests are read: whom a network saw does not depend on the files made of it.
    """
    manifests = {folder: artifact.read(folder) for folder in ours}
    read = {path: load(path) for path in checkpoints}
    networks = {network.sha256: network for network in read.values()}
    for folder, manifest in manifests.items():
        if manifest.checkpoint_sha256 not in networks:
            networks[manifest.checkpoint_sha256] = network_of(folder, manifest)
    of_folders = {manifest.checkpoint_sha256 for manifest in manifests.values()}
    others = [path.name for path, network in read.items() if network.sha256 not in of_folders]
    return list(networks.values()), [*(folder.resolve().name for folder in ours), *others]


def network_of(folder: Path, manifest: Manifest) -> Checkpoint:
    """The checkpoint of a manifest, from its folder, or the shipped one; InputError where it is neither."""
    path = weights_in(folder, manifest)
    if path is None and manifest.model in shipped_models():
        path = shipped(manifest.model)
    network = load(path) if path is not None else None
    if network is None or network.sha256 != manifest.checkpoint_sha256:
        raise InputError(
            f"{folder} was converted from a checkpoint (SHA-256 {manifest.checkpoint_sha256[:12]}…) that is neither "
            "there nor shipped, so that whom it saw is not known; give that one with `checkpoint`"
        )
    return network


def spread(paths: Sequence[Path], count: int) -> tuple[Path, ...]:
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int))
    return tuple(paths[number] for number in chosen)


def read(pictures: Pictures, height: int, width: int) -> np.ndarray:
    """uint8 (N, height, width, 3): the square crop of each, scaled to the longer side; of that the middle."""
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    squares = [
        to_input(read_photo(path), side)[top : top + height, left : left + width]
        for path in track(pictures.paths, f"reading {pictures.name}", len(pictures.paths))
    ]
    return np.stack(squares)
