"""What tables say that a person could have answered: PAD-UFES-20, HAM10000, ISIC, and a table beside class folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.answers import checked
from edge.data.answer_columns import WORDS, AnswersOf, answers_in
from edge.data.readers import open_photos
from edge.errors import InputError
from edge.nine_questions import QUESTIONS, REGIONS

PAD = ("patient_id", "lesion_id", "diagnostic", "img_id", "age", "gender", "region", "itch", "grew", "hurt", "changed",
       "bleed", "elevation")  # fmt: skip
ALL = {"age": 54.0, "gender": "female", "region": "nose", "itches": True, "grew": False, "hurts": False,
       "changed": True, "bleeds": False, "raised": True}  # fmt: skip


def put(folder: Path, table: str, text: str, *photos: str) -> Path:
    for name in photos:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)  # the readers look at names, and whether files are alike
    (folder / table).write_text(text, "utf-8")
    return folder


def pad(folder: Path, *rows: str) -> Path:
    lines = [f"PAT_{number},1,{('BCC', 'NEV')[number % 2]},x{number}.png,{row}" for number, row in enumerate(rows)]
    table = "\n".join([",".join(PAD), *lines])
    return put(folder, "metadata.csv", table, *(f"x{number}.png" for number in range(len(rows))))


def test_pad_ufes_20_in_the_official_words(tmp_path: Path) -> None:
    folder = pad(
        tmp_path,
        "54,FEMALE,NOSE,True,False,False,True,False,True",
        "8,,ARM,False,UNK,False,UNK,False,False",
        ",,,,,,,,",
        "UNK,UNK,UNK,UNK,UNK,UNK,UNK,UNK,UNK",
    )
    photos = open_photos(folder)
    said = [dict(photo.answers) for photo in photos.photos]
    assert said[0] == ALL
    assert said[1] == {"age": 8.0, "region": "arm", "itches": False, "hurts": False, "bleeds": False, "raised": False}
    assert said[2:] == [{}, {}]
    assert not any("answers" in note for note in photos.notes)
    assert all(checked(answers, QUESTIONS, where="row") == answers for answers in said)


def test_other_spellings_mean_the_same(tmp_path: Path) -> None:
    (photo, *_) = open_photos(pad(tmp_path, "54.0,f,Nose ,yes,NO,0,TRUE,0.0,1.0", ",M,fore arm,,,,,,")).photos
    assert photo.answers == ALL
    assert answers_in({"sex": "M", "region": "fore_arm", "age": "54,5"})[0] == {
        "gender": "male", "region": "forearm", "age": 54.5,
    }  # fmt: skip


def test_what_cannot_be_read_is_named_and_unanswered(tmp_path: Path) -> None:
    """A set is read for its pictures too: what a person did not say well must not keep it from being opened."""
    rows = ("430,FEMALE,NOSE,perhaps,,,,,", "-1,DIVERSE,ELBOW,,,,,,", "nan,,,,,,,,", "430,,,,,,,,")
    photos = open_photos(pad(tmp_path, *rows))
    assert [dict(photo.answers) for photo in photos.photos] == [{"gender": "female", "region": "nose"}, {}, {}, {}]
    (note,) = (note for note in photos.notes if "answers" in note)
    assert "2 x age '430' (expected a number from 0 to 120 years)" in note
    assert "itch 'perhaps' (expected yes or no (true or false, 1 or 0))" in note and "others" in note


def test_official_regions_are_all_known() -> None:
    assert set(WORDS["region"]) >= set(REGIONS) and len(REGIONS) == 14
    (region,) = (question for question in QUESTIONS if question.id == "region")
    known = {choice.id for choice in region.choices}
    assert {word for word in WORDS["region"].values() if word} == known


def test_ham10000_and_isic(tmp_path: Path) -> None:
    ham = "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
    ham += "H_1,ISIC_0000001,bkl,histo,80.0,male,scalp\nH_2,ISIC_0000002,mel,histo,,unknown,lower extremity\n"
    photos = open_photos(put(tmp_path / "ham", "t.csv", ham, "ISIC_0000001.jpg", "ISIC_0000002.jpg"))
    assert [dict(photo.answers) for photo in photos.photos] == [{"age": 80.0, "gender": "male", "region": "scalp"}, {}]
    assert not any("answers" in note for note in photos.notes)
    folder = tmp_path / "isic_2019"
    put(folder, "truth.csv", "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC\nISIC_0000001,1,0,0,0,0,0,0,0\n"
        "ISIC_0000002,0,1,0,0,0,0,0,0\n", "ISIC_0000001.jpg", "ISIC_0000002.jpg")  # fmt: skip
    put(folder, "metadata_2019.csv", "image,age_approx,anatom_site_general,lesion_id,sex\n"
        "ISIC_0000001,55,posterior torso,,female\nISIC_0000002,30,head/neck,,\n")  # fmt: skip
    said = [dict(photo.answers) for photo in open_photos(folder).photos]
    assert said == [{"age": 55.0, "gender": "female", "region": "back"}, {"age": 30.0}]


def test_the_first_column_that_is_not_blank_counts() -> None:
    assert answers_in({"age": "", "age_approx": "60", "gender": "UNK", "sex": "male"})[0] == {
        "age": 60.0, "gender": "male",
    }  # fmt: skip
    assert answers_in({"age": "52", "age_approx": "50", "anatom_site_general": "head/neck"})[0] == {"age": 52.0}


@pytest.mark.parametrize("text", ["1_0", "\u0665\u0664", "1e1", "+5", "0x10", "inf", "54 years", "5.4.1"])
def test_other_numerals_than_a_table_s_are_not_guessed(text: str) -> None:
    answers, (said,) = answers_in({"age": text})
    assert not answers and "expected a number from 0 to 120 years" in said


def test_tables_that_disagree_are_named() -> None:
    said = AnswersOf()
    said.add("x.jpg", {"age": "50", "sex": "male", "itch": "yes"})
    said.add("x", {"age_approx": "48", "sex": "female", "itch": "1"})  # rounded, another, the same
    said.add("x", {"age_approx": "70"})
    assert said.of("x") == {"age": 50.0, "gender": "male", "itches": True}
    (note,) = said.notes()
    assert note.startswith("answers on which two rows of an image disagree, of which the first counts: ")
    assert "1 x gender male and female" in note and "1 x age 50 and 70" in note and "itches" not in note


def folders(folder: Path, table: str) -> Path:
    return put(folder, "answers.csv", table, "mel/a.png", "nev/b.png", "nev/c.png")


def test_a_table_of_answers_beside_class_folders(tmp_path: Path) -> None:
    photos = open_photos(folders(tmp_path, "file,age,itches,region\nmel/a.png,54,yes,nose\nb,,no,\nz.png,3,,\n"))
    said = {photo.image_id: dict(photo.answers) for photo in photos.photos}
    assert said == {
        "mel/a.png": {"age": 54.0, "itches": True, "region": "nose"}, "nev/b.png": {"itches": False}, "nev/c.png": {},
    }  # fmt: skip
    assert any("has answers for 1 files that are not here, first z.png" in note for note in photos.notes)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file,age\nmel/a.png,130\n", "answers.csv:2: age is a number from 0 to 120 years, or blank, got '130'"),
        ("file,itches\nnev/b.png,\nmel/a.png,perhaps\n", "answers.csv:3: itches is yes or no"),
        ("file,region\nmel/a.png,elbow\n", "answers.csv:2: region is one of scalp, face"),
        ("file,region\nmel/a.png,shin\n", "answers.csv:2: region is 'shin', which is none of scalp, face"),
        ("file,region\nmel/a.png,head/neck\n", "answers.csv:2: region is 'head/neck', which is none of"),
        ("file,gender\nmel/a.png,Other\n", "answers.csv:2: gender is 'Other', which is none of female, male; leave"),
        ("file,itch\nmel/a.png,1\n", "no question is called 'itch' (did you mean itches?)"),
        ("age\n54\n", "needs the column file, has age"),
        ("file,age\nmel/a.png,5\nA.png,6\n", "answers.csv:3: A.png is there twice"),
    ],
)
def test_a_wrong_table_of_answers_is_refused_by_row(tmp_path: Path, table: str, said: Any) -> None:
    with pytest.raises(InputError) as caught:
        open_photos(folders(tmp_path, table))
    assert said in str(caught.value)
