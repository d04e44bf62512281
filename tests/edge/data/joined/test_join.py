"""Sets in one table: no photograph twice, nobody torn apart, no class changed unsaid, nothing lost uncounted."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge.data.csv_table import read_table
from edge.data.identity import patient_key, photo_key
from edge.data.isic import HAM10000, ONE_HOT
from edge.data.joined import parquet, reading, writing
from edge.data.joined.class_maps import CLASSES, NONE, RANKS, SAME, becomes
from edge.data.joined.join import Joined, join
from edge.data.joined.writing import write
from edge.data.readers import open_photos
from edge.data.selection import find_sets, role_sets, seen_in, unseen
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.files import read_json, sha256
from edge.labels import PAD_UFES_20, Label
from train._cut import by_domain, cut_photos, cut_sets
from train._options import Split

SETS = {
    "pad_ufes_20": PAD_UFES_20,
    "isic_2018": HAM10000,
    "isic_2019": CLASSES["isic_2019"],
    "isic_2020": (Label("BEN", "benign lesion", malignant=False), Label("MEL", "melanoma", malignant=True)),
}
MALIGNANT = {label.code: label.malignant for label in (*PAD_UFES_20, *ONE_HOT)}


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{folder.name}/{name}")  # the readers look at names, and whether files are alike


def pad(folder: Path, *rows: tuple[str, str, str, str]) -> Path:
    put(folder, *(row[3] for row in rows))
    lines = ["patient_id,lesion_id,diagnostic,img_id,age,itch", *(",".join((*row, "54", "True")) for row in rows)]
    (folder / "metadata.csv").write_text("\n".join(lines))
    return folder


def ham(folder: Path, *rows: tuple[str, str, str]) -> Path:
    put(folder, *(f"{row[1]}.jpg" for row in rows))
    lines = ["lesion_id,image_id,dx,sex", *(",".join((*row, "female")) for row in rows)]
    (folder / "HAM10000_metadata.csv").write_text("\n".join(lines))
    return folder


def isic_2019(folder: Path, *rows: tuple[str, str, str]) -> Path:
    codes = [label.code for label in CLASSES["isic_2019"]]
    put(folder, *(f"{image}.jpg" for image, _, _ in rows))
    lines = [",".join(["image", *codes])]
    lines += [",".join([image, *("1.0" if code == own else "0.0" for code in codes)]) for image, own, _ in rows]
    (folder / "ISIC_2019_Training_GroundTruth.csv").write_text("\n".join(lines))
    owners = ["image,lesion_id", *(f"{image},{lesion}" for image, _, lesion in rows)]
    (folder / "ISIC_2019_Training_Metadata.csv").write_text("\n".join(owners))
    return folder


def archive(folder: Path, *rows: tuple[str, str, str]) -> Path:
    put(folder, *(f"{image}.jpg" for image, _, _ in rows))
    (folder / "metadata.csv").write_text("\n".join(["isic_id,diagnosis,patient_id", *map(",".join, rows)]))
    return folder


def clinic(folder: Path, patients: dict[str, str]) -> Path:
    """Class folders; file -> patient."""
    put(folder, *patients)
    (folder / "patients.csv").write_text("\n".join(["file,patient", *(f"{f},{p}" for f, p in patients.items())]))
    return folder


@pytest.fixture
def joined(tmp_path: Path) -> Joined:
    sets = [
        pad(tmp_path / "pad", ("PAT_8", "3", "NEV", "PAT_8_3_1.png"), ("PAT_8", "4", "SCC", "PAT_8_4_2.png")),
        ham(
            tmp_path / "ham", ("HAM_1", "ISIC_0000001", "akiec"), ("HAM_1", "ISIC_0000002", "akiec"),
            ("HAM_2", "ISIC_0000003", "bkl"), ("HAM_3", "ISIC_0000004", "df"),
        ),
        isic_2019(
            tmp_path / "isic_2019", ("ISIC_0000001", "SCC", "HAM_1"), ("ISIC_0000003_downsampled", "BKL", "HAM_2"),
            ("ISIC_0000009", "NV", "BCN_1"),
        ),
        clinic(tmp_path / "clinic", {"mel/1.jpg": "PAT_8", "nv/2.jpg": "2", "wart/3.jpg": "2"}),
    ]  # fmt: skip
    return join([open_photos(folder) for folder in sets], "pad_ufes_20")


def test_the_set_that_tells_a_class_most_exactly_counts(joined: Joined) -> None:
    labels = {row.photo.image_id: (row.photo.domain, row.source_label, row.photo.label) for row in joined.rows}
    assert labels["ISIC_0000001"] == ("isic_2019", "SCC", "SCC")  # HAM10000 says AKIEC, which has no counterpart
    assert labels["ISIC_0000003"] == ("isic_2018", "BKL", "SEK")  # both say the same: the first
    assert labels["ISIC_0000009"] == ("isic_2019", "NV", "NEV")
    assert labels["clinic::mel/1.jpg"] == ("clinic", "mel", "MEL")
    answers = {row.photo.image_id: row.photo.answers for row in joined.rows}
    assert answers["ISIC_0000001"] == {"gender": "female"}  # which HAM10000's table alone says


def test_every_photograph_is_in_the_table_or_counted(joined: Joined) -> None:
    assert len(joined.rows) + len(joined.left_out) == sum(map(len, joined.sets)) == 12
    reasons: Counter = Counter()
    for (source, label, _), number in joined.reasons.items():
        reasons[source, label] += number
    assert reasons == {
        ("isic_2018", "AKIEC"): 2, ("isic_2018", "DF"): 1, ("isic_2019", "BKL"): 1, ("clinic", "wart"): 1,
    }  # fmt: skip


def test_patients_of_two_sets_stay_together_and_others_apart(joined: Joined) -> None:
    patients = {row.photo.image_id: row.photo.patient for row in [*joined.rows, *joined.left_out]}
    assert patients["ISIC_0000002"] == patients["ISIC_0000001"] == "isic:HAM_1"
    assert patients["PAT_8_3_1.png"] == patients["PAT_8_4_2.png"] == "PAT_8"
    assert patients["clinic::mel/1.jpg"] == "clinic::PAT_8"  # the clinic numbers its patients itself
    lesions = {row.photo.image_id: row.photo.lesion for row in joined.rows}
    assert lesions["ISIC_0000001"] == "HAM_1" and lesions["PAT_8_3_1.png"] == "PAT_8/3"


def test_the_table_is_a_set_again(joined: Joined, tmp_path: Path) -> None:
    write(joined, tmp_path / "out")
    again = open_photos(tmp_path / "out")
    assert again.photos == tuple(row.photo for row in joined.rows)
    assert [dict(photo.answers) for photo in again.photos] == [dict(row.photo.answers) for row in joined.rows]
    assert again.codes == tuple(label.code for label in PAD_UFES_20) and not again.synthetic and again.joined
    assert again.licence == "CC BY 4.0, CC BY-NC 4.0, unknown"
    assert any("BKL of isic_2018 in SEK" in note for note in again.notes)
    left_out = read_table(tmp_path / "out" / "left_out.csv")
    assert [row["image"] for row in left_out if row["source"] == "clinic"] == ["clinic::wart/3.jpg"]
    stated = read_json(tmp_path / "out" / "joined.json", expected="facts")
    assert sum(item["photographs"] for item in stated["left_out"]) == len(left_out) == 5
    tmp_path.joinpath("two").mkdir()
    (tmp_path / "out").rename(tmp_path / "two" / "out")
    with pytest.raises(InputError, match=r"7 of the 7 photographs in .* are missing, first "):
        open_photos(tmp_path / "two" / "out")


def test_whom_a_network_saw_is_known_in_the_table_and_in_the_sets(joined: Joined, tmp_path: Path) -> None:
    write(joined, tmp_path / "out")
    (photos,) = find_sets(tmp_path / "out")
    (own,) = find_sets(tmp_path / "clinic")
    by_table = seen_in([by_domain([photos])])
    by_set = seen_in([by_domain([own])])
    assert all(map(by_table, own.photos[:2])) and patient_key(own.photos[0]) == "clinic/PAT_8"
    assert [by_set(photo) for photo in photos.photos] == [photo.domain == "clinic" for photo in photos.photos]
    assert by_domain([photos])["clinic"]["images"] == ["mel/1.jpg", "nv/2.jpg"]


@pytest.fixture
def two_clinics(tmp_path: Path) -> tuple[PhotoSet, PhotoSet]:
    """The table of two clinics that call different patients and files by the same names, and the second of them."""
    files = {f"{code}/{number}.jpg": str(number) for number in range(20) for code in ("mel", "nv")}
    sets = [open_photos(clinic(tmp_path / name / f"clinic_{name}", files)) for name in ("a", "b")]
    for photo in sets[1].photos:
        photo.path.write_text(f"another picture, {photo.image_id}")
    write(join(sets, "isic_2019"), tmp_path / "both")
    return open_photos(tmp_path / "both"), sets[1]


def test_two_clinics_that_use_the_same_names_are_told_apart(two_clinics: tuple[PhotoSet, PhotoSet]) -> None:
    photos, _ = two_clinics
    cut = cut_photos(photos, Split())
    network = SimpleNamespace(
        **{role: by_domain([part]) for role, part in (("trained", cut.train), ("held_back", cut.held_back))},
        unseen=by_domain([cut.unseen]), program=None, patients_unknown=False,
    )  # fmt: skip
    for role, part in (("held_back", cut.held_back), ("trained", cut.train), ("unseen", cut.unseen)):
        (again,) = role_sets(network, role, photos)  # type: ignore[arg-type]  # all of a checkpoint that is asked for
        assert {photo.path for photo in again.photos} == {photo.path for photo in part.photos}
    left = unseen(photos, network)  # type: ignore[arg-type]
    assert {photo.path for photo in left.photos} == {photo.path for photo in cut.unseen.photos}


def test_a_clinic_beside_the_table_that_has_it_is_the_same_people(two_clinics: tuple[PhotoSet, PhotoSet]) -> None:
    photos, own = two_clinics
    assert {photo_key(photo) for photo in own.photos} < {photo_key(photo) for photo in photos.photos}
    more = replace(own, photos=tuple(replace(photo, image_id=f"later/{photo.image_id}") for photo in own.photos))
    first, second = cut_sets([photos, more], Split())
    learned = {photo.patient for photo in first.train.photos if photo.domain == own.domain}
    assert {f"{own.domain}::{photo.patient}" for photo in second.train.photos} <= learned


def test_sets_that_contradict_each_other_are_both_left_out(tmp_path: Path) -> None:
    sets = [
        ham(tmp_path / "ham", ("HAM_1", "ISIC_0000001", "nv"), ("HAM_2", "ISIC_0000002", "bcc")),
        isic_2019(tmp_path / "isic_2019", ("ISIC_0000001", "MEL", "HAM_1"), ("ISIC_0000003", "NV", "BCN_1")),
    ]
    result = join([open_photos(folder) for folder in sets], "isic_2019")
    assert [row.photo.image_id for row in result.rows] == ["ISIC_0000002", "ISIC_0000003"]
    assert {row.reason for row in result.left_out} == {"of the same photograph sets say different classes"}


def test_the_same_bytes_are_one_photograph_under_any_name(tmp_path: Path) -> None:
    sets = [
        isic_2019(tmp_path / "isic_2019", ("ISIC_0000001", "MEL", "BCN_1"), ("ISIC_0000003", "NV", "BCN_1")),
        clinic(tmp_path / "clinic", {"mel/1.jpg": "7", "nv/2.jpg": "7"}),
    ]
    (tmp_path / "clinic" / "mel" / "1.jpg").write_bytes((tmp_path / "isic_2019" / "ISIC_0000001.jpg").read_bytes())
    result = join([open_photos(folder) for folder in sets], "malignant")
    assert [row.photo.image_id for row in result.rows] == ["ISIC_0000001", "ISIC_0000003"]
    assert {row.photo.patient for row in [*result.rows, *result.left_out]} == {"clinic::7"}  # a person, not a lesion


@pytest.mark.parametrize("archive_first", [False, True])
def test_whom_two_sets_call_by_other_names_is_seen_in_both(tmp_path: Path, *, archive_first: bool) -> None:
    sets = [
        isic_2019(tmp_path / "isic_2019", ("ISIC_0000001", "MEL", "BCN_1"), ("ISIC_0000002", "NV", "BCN_2")),
        archive(tmp_path / "archive", ("ISIC_0000001", "melanoma", "IP_1"), ("ISIC_0000003", "nevus", "IP_1")),
        clinic(tmp_path / "clinic", {"mel/1.jpg": "7", "nv/2.jpg": "7", "nv/3.jpg": "8"}),
    ]
    (tmp_path / "clinic" / "mel" / "1.jpg").write_bytes((tmp_path / "isic_2019" / "ISIC_0000001.jpg").read_bytes())
    if archive_first:
        (tmp_path / "archive" / "ISIC_0000001.jpg").write_bytes((tmp_path / "clinic" / "mel" / "1.jpg").read_bytes())
        sets.reverse()
    opened = {photos.domain: photos for photos in map(open_photos, sets)}
    whole = join(list(opened.values()), "isic_2019")
    write(whole, tmp_path / "out")
    table = open_photos(tmp_path / "out")
    assert table.photos == tuple(row.photo for row in whole.rows)
    one = table.where(lambda photo: photo.image_id == "ISIC_0000003")  # all that is known of the person, of any row
    assert one.patients == ["clinic::7" if archive_first else "isic:IP_1"]
    seen = seen_in([by_domain([one])])
    left = {photo.image_id for photos in (*opened.values(), table) for photo in photos.photos if not seen(photo)}
    assert left == {"ISIC_0000002", "nv/3.jpg", "clinic::nv/3.jpg"}
    merged = [photo for photo in table.photos if photo.patient == one.patients[0]]
    assert len(merged) == 3 and len({patient_key(photo) for photo in merged}) == 1
    (copied,) = role_sets(
        SimpleNamespace(trained={}, held_back=by_domain([table]), unseen={}), "held_back", opened["clinic"]
    )  # type: ignore[arg-type]  # all of a checkpoint that is asked for
    assert len(copied) == 3


def test_mixed_classes_can_be_left_out(tmp_path: Path) -> None:
    rows = ("HAM_1", "ISIC_0000001", "bkl"), ("HAM_2", "ISIC_0000002", "nv"), ("HAM_3", "ISIC_0000003", "mel")
    photos = open_photos(ham(tmp_path / "ham", *rows))
    assert join([photos], "pad_ufes_20").counts["SEK"] == 1
    exact = join([photos], "pad_ufes_20", exact=True)
    assert exact.counts["SEK"] == 0 and exact.left_out[0].reason.startswith("mixed, and left out: BKL is")


def test_what_cannot_be_joined_is_refused(tmp_path: Path) -> None:
    first = open_photos(clinic(tmp_path / "a" / "photos", {"mel/1.jpg": "1", "nv/2.jpg": "2"}))
    second = open_photos(clinic(tmp_path / "b" / "photos", {"mel/3.jpg": "1", "nv/4.jpg": "2"}))
    with pytest.raises(InputError, match="two sets are called photos"):
        join([first, second], "malignant")
    with pytest.raises(InputError, match=r"at least two classes are needed\. Left out: 1 mel of photos"):
        join([first], "malignant")  # nobody said which class is malignant
    with pytest.raises(InputError, match=r"no classes are called 'pad_ufes' \(did you mean pad_ufes_20"):
        join([first], "pad_ufes")
    table = replace(second, name="table", joined=True)
    with pytest.raises(InputError, match="table is a table of several sets already"):
        join([first, table], "pad_ufes_20")
    part = open_photos(ham(tmp_path / "ham", ("HAM_1", "ISIC_0000001", "nv"), ("HAM_2", "ISIC_0000002", "mel")))
    with pytest.raises(InputError, match="HAM10000: altered copy, or a part: 2 of the 10,015 rows"):
        join([part], "malignant", official=True)
    with pytest.raises(InputError, match=r"photos: nobody here can tell whether its table is official; .* isic_2019"):
        join([first], "isic_2019", official=True)


def test_only_what_has_the_official_counts_is_official(tmp_path: Path) -> None:
    validation = [("HAM_1", f"ISIC_{n:07}", "mel") for n in range(193)]  # as many rows as an official table has
    part = open_photos(ham(tmp_path / "ham", *validation))
    assert not part.official and not part.altered
    with pytest.raises(InputError, match="HAM10000: nobody here can tell whether its table is official"):
        join([part], "malignant", official=True)


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("label", "XYZ", "label 'XYZ' is none of"),
        ("patient_id", "", "patient_id is empty"),
        ("file", "/dev/zero", "is no photograph by its ending"),
        ("file", "../no.jpg", "are missing"),
        ("image", "ISIC_0000009", "ISIC_0000009 is there twice"),
    ],
)
def test_a_damaged_table_is_refused(joined: Joined, tmp_path: Path, column: str, text: str, message: str) -> None:
    write(joined, tmp_path / "out")
    table = tmp_path / "out" / "photographs.csv"
    rows = read_table(table)
    rows[0][column] = text
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(InputError, match=message):
        open_photos(tmp_path / "out")


def test_a_place_too_coarse_for_an_answer_stays_with_the_photograph(joined: Joined, tmp_path: Path) -> None:
    folder = tmp_path / "sites"
    put(folder, "ISIC_0000021.jpg", "ISIC_0000022.jpg", "ISIC_0000023.jpg")
    (folder / "HAM10000_metadata.csv").write_text(
        "lesion_id,image_id,dx,localization\nHAM_1,ISIC_0000021,nv,lower extremity\n"
        "HAM_2,ISIC_0000022,mel,back\nHAM_3,ISIC_0000023,mel,unknown\n"
    )
    photos = open_photos(folder)
    assert [photo.site for photo in photos.photos] == ["lower extremity", "", ""]
    assert [photo.answers.get("region") for photo in photos.photos] == [None, "back", None]
    write(join([photos], "ham10000"), tmp_path / "out")
    assert [photo.site for photo in open_photos(tmp_path / "out").photos] == ["lower extremity", "", ""]


def test_numbers_that_are_none_and_a_table_without_rows_are_refused(joined: Joined, tmp_path: Path) -> None:
    write(joined, tmp_path / "out")
    file = tmp_path / "out" / "joined.json"
    stated = read_json(file, expected="facts")
    file.write_text(json.dumps(stated | {"left_out": [{"photographs": float("inf")}]}))
    with pytest.raises(InputError, match=r"joined\.json"):
        open_photos(tmp_path / "out")
    pytest.importorskip("pyarrow", reason="needs the extra parquet: pip install '.[parquet]'")
    quick = tmp_path / "out" / "photographs.parquet"
    parquet.write(quick, reading.COLUMNS, [])
    file.write_text(json.dumps(stated | {"parquet_sha256": sha256(quick)}))
    with pytest.raises(InputError, match="has 0 rows"):
        open_photos(tmp_path / "out")


def test_a_table_that_was_changed_says_so(joined: Joined, tmp_path: Path) -> None:
    write(joined, tmp_path / "out")
    table = tmp_path / "out" / "photographs.csv"
    table.write_text(table.read_text().replace("clinic::2", "clinic::3"))
    assert any("was changed since" in note for note in open_photos(tmp_path / "out").notes)


@pytest.mark.parametrize("target", CLASSES)
@pytest.mark.parametrize("domain", SETS)
def test_every_class_has_an_answer_that_holds(domain: str, target: str) -> None:
    for label in SETS[domain]:
        own = becomes(domain, label, target)
        assert own.kind in RANKS and (own.code == "") == (own.kind == NONE) and (own.kind == SAME or own.why)
        if own.code and target != "malignant":
            code = next(known for known in CLASSES[target] if known.code == own.code)
            kept = code.malignant == label.malignant
            assert kept or (own.code == "AKIEC" and "that it is benign" in own.why)  # said, never silent


def test_a_class_marked_against_its_name_has_no_counterpart() -> None:
    own = becomes("clinic", Label("mel", "melanoma", malignant=False), "isic_2019")
    assert own.code == "" and own.why == "mel is marked benign here, malignant in isic_2019"


def test_the_maps_agree_with_the_photographs_that_two_official_sets_share() -> None:
    """All of HAM10000 is in ISIC 2019, labelled there by others: the oracle of what its classes are."""
    if "DERMEDGE_PHOTOS" not in os.environ:
        pytest.skip("DERMEDGE_PHOTOS names no folder of real photographs")
    folder = Path(os.environ["DERMEDGE_PHOTOS"]) / "metadata"
    names = ("HAM10000_metadata.csv", "ISIC_2019_Training_GroundTruth.csv")
    if not all((folder / name).is_file() for name in names):
        pytest.skip("the official tables are not in the folder metadata of DERMEDGE_PHOTOS")
    old = {row["image_id"]: row["dx"].upper() for row in csv.DictReader((folder / names[0]).read_text().splitlines())}
    labels = {label.code: label for label in ONE_HOT}
    shared, pairs = 0, set()
    for row in csv.DictReader((folder / names[1]).read_text().splitlines()):
        image = row.pop("image").removesuffix("_downsampled")
        if image in old:
            shared += 1
            pairs.add((old[image], next(code for code, value in row.items() if float(value) == 1)))
    assert shared == 10_015 and len(pairs) == 8
    for first, second in pairs:
        for target in ("pad_ufes_20", "isic_2019", "ham10000"):
            codes = {
                becomes("isic_2018", labels[first], target).code, becomes("isic_2019", labels[second], target).code,
            } - {""}  # fmt: skip
            assert len(codes) <= 1, (first, second, target)


def test_a_large_table_is_parquet_too_and_a_changed_csv_counts(
    joined: Joined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrow = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install '.[parquet]'")
    monkeypatch.setattr(writing, "PARQUET_FROM", 3)
    write(joined, tmp_path / "out")
    own = tmp_path / "out" / "photographs.parquet"
    assert arrow.read_table(own).to_pylist() == read_table(tmp_path / "out" / "photographs.csv")
    table = tmp_path / "out" / "photographs.csv"
    text = table.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(reading, "read_table", lambda _: pytest.fail("the CSV is read"))
        assert open_photos(tmp_path / "out").photos == tuple(row.photo for row in joined.rows)
    table.write_text(text.replace(",SCC,SCC,", ",BCC,SCC,"))
    assert open_photos(tmp_path / "out").counts["BCC"] == joined.counts["BCC"] + text.count(",SCC,SCC,") > 0
    table.write_text(text)
    own.write_bytes(own.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"photographs\.parquet is not the one .* remove it to read photographs\.csv"):
        open_photos(tmp_path / "out")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        parquet.read(own)
    own.unlink()
    assert len(open_photos(tmp_path / "out")) == len(joined.rows)  # of the CSV


def test_120000_rows_are_the_same_from_parquet(tmp_path: Path) -> None:
    """Commas, quotes, blanks and other scripts as well, by pyarrow's own account."""
    arrow = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install '.[parquet]'")
    rows = [
        (f"ISIC_{number:07d}", f'a, "b"/é{number % 7}.jpg', f"P{number // 3}", "" if number % 5 else f"病変{number}")
        for number in range(120_000)
    ]
    parquet.write(tmp_path / "own.parquet", ("image", "file", "patient_id", "lesion_id"), rows)
    texts = parquet.read(tmp_path / "own.parquet")
    assert [tuple(row.values()) for row in texts] == rows
    assert texts == arrow.read_table(tmp_path / "own.parquet").to_pylist()


def test_a_small_parquet_file_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One long text in every row takes little in the file, and may not be a copy for each row here."""
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install '.[parquet]'")
    one = arrow.DictionaryArray.from_arrays(arrow.array([0] * 20_000, arrow.int32()), arrow.array(["x" * 5000]))
    own = tmp_path / "own.parquet"
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table({"image": one.cast(arrow.string())}), own)
    assert own.stat().st_size < 10_000
    texts = parquet.read(own)
    assert len(texts) == 20_000
    assert len({id(row["image"]) for row in texts}) == 1
    monkeypatch.setattr(parquet, "MAX_UNPACKED", 6000)
    with pytest.raises(InputError, match=r"holds more than 6000 bytes"):
        parquet.read(own)


def test_a_large_table_needs_pyarrow(joined: Joined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PARQUET_FROM", 3)
    monkeypatch.setattr(parquet, "is_installed", lambda: False)
    with pytest.raises(InputError, match=r"photographs\.parquet needs pyarrow: pip install -e '\.\[parquet\]'"):
        write(joined, tmp_path / "out")
    assert not (tmp_path / "out").exists()
