"""`vlmrec prepare movielens|microlens|pixelrec`: the folder, the report, the refusals."""

import json
from pathlib import Path

import pytest

from vlmrec.data.dataset import Dataset

T = 978_300_760


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def rows(pattern: str) -> str:
    """Returns three events of each of two users, the third one rated 2."""
    values = [
        {"user": user, "item": item, "time": T + item, "rating": 2 if item == 3 else 4}
        for user in (1, 2)
        for item in (1, 2, 3)
    ]
    return "".join(pattern.format(**each) + "\n" for each in values)


SOURCES = {
    "movielens": {
        "ratings.dat": rows("{user}::{item}::{rating}::{time}"),
        "movies.dat": "1::Boot, Das (1981)::War\n2::A (1999)::Drama\n3::B (1999)::Drama\n",
    },
    "microlens": {
        "MicroLens-50k_pairs.csv": "user,item,timestamp\n" + rows("{user},{item},{time}000"),
        "MicroLens-50k_titles.csv": "item,title\n1,Das Boot (1981)\n2,b, c\n",
    },
    "pixelrec": {
        "log.csv": "item_id,user_id,timestamp\n" + rows("i{item},u{user},{time}"),
        "info.csv": "item_id,title,tag\ni1,Das Boot (1981),War\ni2,b,c\n",
    },
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_published_folder_becomes_a_dataset(name, tmp_path, run_vlmrec):
    source, out = write(tmp_path / "raw", SOURCES[name]), tmp_path / "data"
    done = run_vlmrec("prepare", name, source, "--out", out)
    assert done.code == 0, done.err
    assert "2 users, 3 items, 6 interactions" in done.out
    data = Dataset.load(out)
    assert data.catalog.table["title"][0] == "Das Boot (1981)"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["source"]["kind"] == name
    assert [each["name"] for each in manifest["source"]["files"]] == list(SOURCES[name])
    again = run_vlmrec("prepare", name, source, "--out", out)
    assert (again.code, again.out) == (2, "")
    assert "exists and is not empty" in again.err
    options = ("--overwrite", "--json", "--min-history", 1, "--min-item", 2, "--repeats", "first")
    report = json.loads(run_vlmrec("prepare", name, source, "--out", out, *options).out)
    cleaning = report["source"]["cleaning"]
    assert (cleaning["min_item"], cleaning["min_history"], cleaning["repeats"]) == (2, 1, "first")


@pytest.mark.parametrize("name", SOURCES)
def test_a_folder_without_the_files_says_what_was_found_and_expected(name, tmp_path, run_vlmrec):
    source = write(tmp_path / "raw", {"cats.txt": "meow"})
    done = run_vlmrec("prepare", name, source, "--out", tmp_path / "data")
    assert (done.code, done.out) == (2, "")
    assert "holds 'cats.txt'; expected were " in " ".join(done.err.split())
    assert not (tmp_path / "data").exists()


def test_ratings_of_movielens_can_be_cut(tmp_path, run_vlmrec):
    source, out = write(tmp_path / "raw", SOURCES["movielens"]), tmp_path / "data"
    options = ("--min-rating", 4, "--min-history", 1)
    done = run_vlmrec("prepare", "movielens", source, "--out", out, *options)
    assert "2 interactions rated below 4" in done.out
    assert Dataset.load(out).sequences.n_events == 4


def test_files_are_taken_as_named(tmp_path, run_vlmrec):
    source = write(tmp_path / "raw", SOURCES["microlens"] | SOURCES["pixelrec"])
    for name, log, option, about in (
        ("microlens", "MicroLens-50k_pairs.csv", "--titles", "MicroLens-50k_titles.csv"),
        ("pixelrec", "log.csv", "--items", "info.csv"),
    ):
        out = tmp_path / name
        done = run_vlmrec("prepare", name, source / log, option, source / about, "--out", out)
        assert done.code == 0, done.err
        assert Dataset.load(out).catalog.texts()[0] == "Das Boot (1981)"
