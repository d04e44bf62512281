"""Zip files as data sets are downloaded: the same set as unpacked, and nothing that one made to harm could do."""

from __future__ import annotations

import json
import random
import stat
import struct
import zipfile
from functools import partial
from pathlib import Path

import pytest

from edge.data.readers import open_photos
from edge.data.selection import find_sets
from edge.data.table import PhotoSet
from edge.data.zipped import Allowance
from edge.errors import InputError

TABLE = "patient_id,lesion_id,diagnostic,img_id"
ROWS = (("PAT_1", "1", "NEV", "PAT_1_1_1.png"), ("PAT_2", "2", "MEL", "PAT_2_2_2.png"))


def pad(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    for row in ROWS:
        (folder / "images" / row[3]).write_text(f"picture {row[3]}")  # the readers look at names and bytes
    (folder / "metadata.csv").write_text("\n".join([TABLE, *map(",".join, ROWS)]) + "\n")
    return folder


def zipped(file: Path, contents: dict[str, bytes | Path]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, own in contents.items():
            archive.writestr(name, own.read_bytes() if isinstance(own, Path) else own)
    return file


def facts(photos: PhotoSet) -> list[tuple[str, str, str, bytes]]:
    return [(p.image_id, p.label, p.patient, p.path.read_bytes()) for p in photos.photos]


def test_a_zip_file_is_the_set_that_it_was_packed_from(tmp_path: Path) -> None:
    folder = pad(tmp_path / "PAD")
    files = {p.relative_to(tmp_path).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    packed = zipped(tmp_path / "download" / "archive.zip", files)
    photos = open_photos(packed)
    assert facts(photos) == facts(open_photos(folder)) and photos.domain == "pad_ufes_20"
    assert photos.sha256() == open_photos(folder).sha256()
    assert [part.name for part in find_sets(tmp_path / "download")] == ["PAD-UFES-20"]


def test_zip_files_in_zip_files_as_pad_ufes_20_is_published(tmp_path: Path) -> None:
    folder = pad(tmp_path / "PAD")
    inner = {
        f"images/imgs_part_{n}.zip": zipped(
            tmp_path / f"{n}.zip", {f"imgs_part_{n}/{row[3]}": folder / "images" / row[3]}
        )
        for n, row in enumerate(ROWS)
    }
    packed = zipped(tmp_path / "in" / "zr7vgbcyr2-1.zip", {**inner, "metadata.csv": folder / "metadata.csv"})
    assert facts(open_photos(packed)) == facts(open_photos(folder))


def test_zip_files_beside_a_table_as_isic_and_ham10000_are(tmp_path: Path) -> None:
    folder = tmp_path / "HAM"
    zipped(folder / "HAM10000_images_part_1.zip", {"ISIC_0000001.jpg": b"1"})
    zipped(folder / "HAM10000_images_part_2.zip", {"ISIC_0000002.jpg": b"2", "__MACOSX/._ISIC_0000002.jpg": b"-"})
    (folder / "HAM10000_metadata.csv").write_text("image_id,dx\nISIC_0000001,nv\nISIC_0000002,mel\n")
    photos = open_photos(folder)
    assert [photo.label for photo in photos.photos] == ["NV", "MEL"]
    (folder / "HAM10000_metadata.csv").write_text("image_id,dx\nISIC_0000001,bcc\nISIC_0000002,mel\n")
    assert [photo.label for photo in open_photos(folder).photos] == ["BCC", "MEL"]  # the table of today


def test_a_class_folder_may_be_a_zip_file_and_one_that_is_unpacked_counts_once(tmp_path: Path) -> None:
    folder = tmp_path / "clinic"
    zipped(folder / "mel.zip", {"mel/1.jpg": b"1", "mel/2.jpg": b"2"})
    zipped(folder / "nv.zip", {"3.jpg": b"3"})
    (folder / "nv").mkdir()
    (folder / "nv" / "3.jpg").write_bytes(b"3")
    photos = open_photos(folder)
    assert photos.name == "clinic" and photos.counts == {"mel": 2, "nv": 1}


def test_a_packed_table_beside_itself_counts_once_as_kaggle_lists_it(tmp_path: Path) -> None:
    folder = pad(tmp_path / "PAD")
    plain = facts(open_photos(folder))
    table = folder / "metadata.csv"
    zipped(folder / "metadata.csv.zip", {"metadata.csv": table})
    assert facts(open_photos(folder)) == plain
    images = {f"images/{row[3]}": folder / "images" / row[3] for row in ROWS}
    zipped(folder / "jpeg.zip", images)
    for row in ROWS:
        (folder / "images" / row[3]).unlink()
    (folder / "images").rmdir()
    assert facts(open_photos(folder)) == plain  # the zip of photographs is read, that of the table not
    table.unlink()
    assert facts(open_photos(folder)) == plain  # a packed table alone stands for itself, and is no folder
    zipped(folder / "other.zip", {"metadata.csv": b"patient_id,lesion_id,diagnostic,img_id"})
    with pytest.raises(InputError, match=r"other\.zip would be read as metadata\.csv, and so would another"):
        open_photos(folder)


def test_a_packed_table_that_is_not_the_one_beside_it_is_refused(tmp_path: Path) -> None:
    folder = pad(tmp_path / "PAD")
    table = folder / "metadata.csv"
    plain = facts(open_photos(folder))
    zipped(folder / "newer.zip", {"PAD/metadata.csv": table})
    assert facts(open_photos(folder)) == plain  # the same table, in a folder of its own
    zipped(folder / "newer.zip", {"PAD/metadata.csv": table.read_bytes().replace(b"PAT", b"TAP")})
    with pytest.raises(InputError, match=r"newer\.zip holds metadata\.csv, and another metadata\.csv lies beside it"):
        open_photos(folder)


def test_two_zip_files_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = pad(tmp_path / "PAD")
    zipped(folder / "more.zip", {"a/1.png": b"1", "b/2.png": b"2"})
    zipped(folder / "more.ZIP", {"a/3.png": b"3", "b/4.png": b"4"})
    with pytest.raises(InputError, match=r"would be read as more, and so would another zip file beside it"):
        open_photos(folder)


def test_other_formats_are_named_as_in_a_folder(tmp_path: Path) -> None:
    packed = zipped(tmp_path / "a.zip", {"set/mel/1.jpg": b"1", "set/nv/2.jpg": b"2", "set/nv/3.tif": b"3"})
    assert any("1 .tif (not a format that is read): nv/3.tif" in note for note in open_photos(packed).notes)


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("nv/a.jpg")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../../outside.jpg", "leads out of it"),
        ("/etc/a.jpg", "leads out of it"),
        ("nv\\..\\..\\a.jpg", "leads out of it"),
        ("C:/a.jpg", "leads out of it"),
        (f"nv/{'x' * 300}.jpg", "leads out of it"),
        (link(), "holds the link nv/a.jpg"),
        ("NV/1.JPG", "holds NV/1.JPG twice"),
    ],
)
def test_what_could_harm_is_refused_and_nothing_is_written(
    tmp_path: Path, cache: Path, name: str | zipfile.ZipInfo, message: str
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("nv/1.jpg", b"1")
        archive.writestr(name, b"2")
    with pytest.raises(InputError, match=message):
        open_photos(tmp_path / "a.zip")
    assert not list(cache.rglob("*.jpg")) and not list(tmp_path.parent.glob("outside.jpg"))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, cache: Path) -> None:
    packed = zipped(tmp_path / "a.zip", {"nv/1.jpg": bytes(50_000_000), "mel/2.jpg": b"2"})
    assert packed.stat().st_size < 100_000
    with pytest.raises(InputError, match="unpacks to 50000001, more than 200 times as much"):
        open_photos(packed)
    assert not cache.exists()


def test_a_damaged_file_is_refused_and_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    packed = zipped(tmp_path / "a.zip", {"nv/1.jpg": bytes(range(256)) * 8, "mel/2.jpg": b"2"})
    data = bytearray(packed.read_bytes())
    data[60] ^= 0xFF  # in the contents of the first file
    packed.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"a\.zip is damaged at nv/1\.jpg"):
        open_photos(packed)
    assert not list(cache.rglob("*.jpg"))
    packed.write_bytes(bytes(data[:200]))
    with pytest.raises(InputError, match="cannot be read as a zip file"):
        open_photos(packed)


def test_a_full_disk_is_told_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zipped(tmp_path / "a.zip", {"nv/1.jpg": b"1", "mel/2.jpg": b"2"})
    monkeypatch.setattr("edge.data.zipped.SPARE_BYTES", 10**18)
    with pytest.raises(InputError, match=r"unpacks to 0\.0 GB, and .* left; make room"):
        open_photos(packed)


@pytest.mark.parametrize("packed", [True, False])
def test_a_zip_file_beside_class_folders_is_no_class(tmp_path: Path, packed: bool) -> None:
    files = {f"{code}/{n}.jpg": f"{code}{n}".encode() for code in ("MEL", "NEV") for n in range(4)}
    later = zipped(tmp_path / "to_label_later.zip", {f"{n}.jpg": bytes([n]) for n in range(3)})
    folder = tmp_path / "clinic"
    if packed:
        folder = zipped(tmp_path / "clinic.zip", {**files, "to_label_later.zip": later})
    else:
        for name, own in {**files, "to_label_later.zip": later.read_bytes()}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(own)
    shown = (folder / "to_label_later.zip").as_posix()
    with pytest.raises(InputError, match=f"^{shown} lies beside class folders \\(as MEL/0.jpg\\); unpack it there"):
        open_photos(folder)
    if not packed:  # who names it as a class means it
        labels = [{"code": code, "name": code} for code in ("MEL", "NEV", "to_label_later")]
        (folder / "labels.json").write_text(json.dumps({"classes": labels}))
        assert open_photos(folder).counts == {"MEL": 4, "NEV": 4, "to_label_later": 3}


def test_a_zip_file_beside_photographs_of_a_class_is_not_mixed_with_them(tmp_path: Path) -> None:
    folder = tmp_path / "clinic"
    zipped(folder / "mel" / "2025.zip", {"1.jpg": b"1"})
    zipped(folder / "nv" / "2025.zip", {"2.jpg": b"2"})
    assert open_photos(folder).counts == {"mel": 1, "nv": 1}
    (folder / "nv" / "3.jpg").write_bytes(b"3")
    with pytest.raises(InputError, match=r"nv/2025\.zip lies beside photographs \(as nv/3\.jpg\)"):
        open_photos(folder)


def test_messages_name_what_the_user_gave(tmp_path: Path, cache: Path) -> None:
    table = "image_id,dx\nISIC_0000001,nv\nISIC_0000002,mel\n"
    packed = zipped(tmp_path / "ham.zip", {"in/HAM10000_metadata.csv": table.encode(), "in/ISIC_0000001.jpg": b"1"})
    with pytest.raises(InputError, match=rf"images in {packed}/in/HAM10000_metadata\.csv are missing") as refused:
        open_photos(packed)
    assert str(cache) not in str(refused.value)
    notes = open_photos(packed, skip_missing=True).notes
    assert any(f"{packed}/in/HAM10000_metadata.csv are missing" in note for note in notes)
    assert not any(str(cache) in note for note in notes)


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_LZMA, "LZMA"), (zipfile.ZIP_BZIP2, "bzip2")])
def test_other_compression_is_refused_by_name(tmp_path: Path, cache: Path, method: int, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("nv/1.jpg", bytes(range(256)) * 8)
        archive.writestr("mel/2.jpg", b"2")
    with pytest.raises(InputError, match=rf"a\.zip holds nv/1\.jpg compressed with {name}; stored and deflated"):
        open_photos(tmp_path / "a.zip")
    assert not cache.exists()


def test_a_fault_in_reading_is_not_told_as_one_in_writing(tmp_path: Path) -> None:
    packed = zipped(tmp_path / "a.zip", {"nv/1.jpg": b"1", "mel/2.jpg": b"2"})
    data = packed.read_bytes()
    entry = data.rindex(b"PK\1\2") + 42  # where the directory says that the last member begins
    packed.write_bytes(data[:entry] + struct.pack("<I", 2**31) + data[entry + 4 :])
    with pytest.raises(InputError, match=r"a\.zip is damaged at mel/2\.jpg"):
        open_photos(packed)


def test_a_bomb_of_zip_files_in_zip_files_is_refused_and_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    file = zipped(tmp_path / "3.zip", {"nv/1.jpg": bytes(30_000) + random.Random(0).randbytes(200)})
    for depth in (2, 1):  # each level alone is within the limit
        copies = {f"{n}.zip": file for n in range(9)}
        file = zipped(tmp_path / f"{depth}.zip", copies)
        assert sum(own.stat().st_size for own in copies.values()) < 200 * file.stat().st_size
    with pytest.raises(InputError, match=rf"^{file} of \d+ bytes unpacks to more than 200 times as much, with the zip"):
        open_photos(file)
    assert not list(cache.rglob("*.zip")) and not list(cache.rglob("*.jpg")) and not list(cache.rglob("*.json"))


def test_files_of_inner_zip_files_count_with_the_outer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = zipped(tmp_path / "nv.zip", {f"{n}.jpg": bytes([n]) for n in range(4)})
    outer = zipped(tmp_path / "a.zip", {"nv.zip": inner, "mel/1.jpg": b"-"})
    monkeypatch.setattr("edge.data.zipped.Allowance", partial(Allowance, files_left=5))
    with pytest.raises(InputError, match=r"a\.zip holds more than .* files, with those of the zip files in it"):
        open_photos(outer)
