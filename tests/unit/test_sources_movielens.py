"""MovieLens in its three forms, with every quirk of the published files, and as an archive."""

import zipfile
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from vlmrec.core.errors import DataError
from vlmrec.data.sources.film_titles import with_article_in_front, year_in
from vlmrec.data.sources.movielens import read_movielens
from vlmrec.data.sources.raw_tables import RawTables

T = 978_300_760


def said(raw: RawTables) -> str:
    return "\n".join(f"{note.kind} {note.sentence}" for note in raw.notes)


def write(folder: Path, files: dict[str, str], encoding: str = "utf-8") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode(encoding))
    return folder


def old_film(film: int, title: str, day: str, *genres: int) -> str:
    flags = "|".join(str(int(k in genres)) for k in range(4))
    return f"{film}|{title}|{day}||http://us.imdb.com/x|{flags}\n"


HUNDRED = {
    "u.data": f"196\t1\t3\t{T + 2}\n22\t267\t5\t{T}\n196\t7\t1\t{T}\n244\t1412\t2\t{T}\n",
    "u.item": old_film(1, "Toy Story (1995)", "01-Jan-1995", 2, 3)
    + old_film(7, "Double vie de V\u00e9ronique, La (Double Life of Veronique, The) (1991)", "", 1)
    + "267|unknown||||1|0|0|0\n"
    + old_film(1412, "Land Before Time III: The Time (1995) (V)", "01-Jan-1995", 2),
    "u.genre": "unknown|0\nAction|1\nAnimation|2\nChildren's|3\n\n",
    "u.user": "1|24|M|technician|85711\n",
    "u1.base": "1\t1\t5\t874965758\n",
}


def test_100k(tmp_path):
    raw = read_movielens(write(tmp_path / "ml-100k", HUNDRED, "latin-1"))
    assert raw.interactions.rows() == [
        ("196", "1", T + 2, 3.0),
        ("22", "267", T, 5.0),
        ("196", "7", T, 1.0),
        ("244", "1412", T, 2.0),
    ]
    title = "La Double vie de V\u00e9ronique (The Double Life of Veronique) (1991)"
    assert raw.items.select("item_id", "title", "genres", "year", "image").rows() == [
        ("1", "Toy Story (1995)", ["Animation", "Children's"], 1995, None),
        ("7", title, ["Action"], 1991, None),
        ("267", None, [], None, None),
        ("1412", "Land Before Time III: The Time (1995) (V)", ["Animation"], 1995, None),
    ]
    assert raw.items.schema["genres"] == pl.List(pl.String)
    assert [path.name for path in raw.files] == ["u.data", "u.item", "u.genre"]
    for sentence in (
        "'u.item': latin-1, 9 columns separated by bar, no header.",
        "changed 1 title with the article in front again: 'Double vie",
        "changed 1 film named 'unknown': no title.",
        "kept 1 film without a year in the title: '267'.",
        "kept 1 film without genres: '267'.",
        "dropped 'u.item': 3 columns not needed: 'released', 'on video', 'IMDb address'.",
        "dropped 2 files of the dataset not read: 'u.user', 'u1.base'.",
        "warning 4 ratings and 4 films: no release of MovieLens that is known here",
    ):
        assert sentence in said(raw)


def test_the_films_of_100k_are_latin_1_whatever_their_bytes_look_like(tmp_path):
    files = {**HUNDRED, "u.item": old_film(1, "\u00c3\u00a9 (1999)", "", 1)}  # UTF-8 for one sign
    assert read_movielens(write(tmp_path, files, "latin-1")).items["title"][0][:2] == "\u00c3\u00a9"


MILLION = {
    "ratings.dat": f"1::1193::5::{T}\n6040::3845::3::{T + 1}\n6040::9::3.5::{T - 5}\n",
    "movies.dat": "3845::And God Created Woman (Et Dieu&#8230;Cr\u00e9a la femme) (1956)::Drama\n"
    "19::Ace Ventura: When Nature Calls (1995)::Comedy\n"
    '1193::"Great Performances", The (1998)::Drama|Children\'s\n',
    "users.dat": "1::F::1::10::48067\n",
}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])  # 1M, 10M
def test_1m_and_10m(tmp_path, encoding):
    raw = read_movielens(write(tmp_path, MILLION, encoding))
    assert raw.interactions.rows() == [
        ("1", "1193", T, 5.0),
        ("6040", "3845", T + 1, 3.0),
        ("6040", "9", T - 5, 3.5),
    ]
    god = "And God Created Woman (Et Dieu\u2026Cr\u00e9a la femme) (1956)"
    assert raw.items.select("item_id", "title", "genres", "year").rows() == [
        ("3845", god, ["Drama"], 1956),
        ("19", "Ace Ventura: When Nature Calls (1995)", ["Comedy"], 1995),
        ("1193", 'The "Great Performances" (1998)', ["Drama", "Children's"], 1998),
        ("9", None, None, None),
    ]
    assert "1 item with interactions but without a row in the items: '9'" in said(raw)
    assert "1 file of the dataset not read: 'users.dat'" in said(raw)


LATEST = {
    "ratings.csv": f"userId,movieId,rating,timestamp\n1,11,4.5,{T}\n2,5,0.5,{T + 9}\n",
    "movies.csv": "movieId,title,genres\r\n"
    '11,"American President, The (1995)",Comedy|Drama|Romance\r\n'
    "5,Babylon 5,(no genres listed)\r\n"
    "6,Death Note: Desu n\u00f4to (2006\u20132007),Action\r\n"
    '7,"Avventura, L\' (a.k.a. Adventure, The) (1960) ",Drama\r\n',
    "links.csv": "movieId,imdbId,tmdbId\n11,0112346,9087\n5,0114709,\n",
    "tags.csv": f"userId,movieId,tag,timestamp\n2,5,funny,{T}\n",
}


def test_latest(tmp_path):
    raw = read_movielens(write(tmp_path, LATEST))
    assert raw.interactions.rows() == [("1", "11", T, 4.5), ("2", "5", T + 9, 0.5)]
    assert raw.items.select("item_id", "title", "genres", "year").rows() == [
        ("11", "The American President (1995)", ["Comedy", "Drama", "Romance"], 1995),
        ("5", "Babylon 5", [], None),
        ("6", "Death Note: Desu n\u00f4to (2006\u20132007)", ["Action"], 2006),
        ("7", "L'Avventura (a.k.a. The Adventure) (1960)", ["Drama"], 1960),
    ]
    assert "2 files of the dataset not read: 'links.csv', 'tags.csv'" in said(raw)
    assert "kept 1 film without a year in the title: 'Babylon 5'." in said(raw)


@pytest.mark.parametrize(
    ("n_ratings", "n_films", "release"),
    [(100_836, 9_742, "September 2018"), (100_004, 9_125, "October 2016")],
)
def test_the_releases_of_latest_small_are_told_apart_by_counts(
    tmp_path, n_ratings, n_films, release
):
    row = pl.int_range(n_ratings, eager=True)
    ratings = {"userId": row % 600, "movieId": row % n_films, "rating": row % 5, "timestamp": row}
    films = pl.DataFrame({"movieId": range(n_films), "title": "T (1999)", "genres": "Drama"})
    pl.DataFrame(ratings).write_csv(tmp_path / "ratings.csv")
    films.write_csv(tmp_path / "movies.csv")
    raw = read_movielens(tmp_path)
    assert raw.notes[0].kind == "took"
    assert f"MovieLens latest-small of {release}, by its {n_ratings:,} ratings" in said(raw)


@pytest.mark.parametrize(
    ("published", "readable", "year"),
    [
        ("Good, the Bad and the Ugly, The (Buono, Il) (1966)", None, 1966),
        ("I Love You, I Love You Not (1996)", "I Love You, I Love You Not (1996)", 1996),
        ("Corrina, Corrina (1994)", "Corrina, Corrina (1994)", 1994),
        ("Lion, the Witch, The: A Story (2005-)", "Lion, the Witch, The: A Story (2005-)", 2005),
        ("2001 (A Space Odyssey)", "2001 (A Space Odyssey)", None),
        ("Boot, Das", "Das Boot", None),
        ("The", "The", None),
    ],
)
def test_articles_and_years(published, readable, year):
    if readable is None:
        readable = "The Good, the Bad and the Ugly (Il Buono) (1966)"
    assert with_article_in_front(published) == readable
    assert year_in(readable) == year


def zipped(path: Path, files: dict[str, str], encoding: str = "utf-8") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text.encode(encoding))
    return path


def test_an_archive_and_the_folder_above_give_the_same(tmp_path):
    inside = {f"ml-1m/{name}": text for name, text in MILLION.items()}
    archive = zipped(tmp_path / "ml-1m.zip", {**inside, "__MACOSX/._ratings.dat": ""}, "latin-1")
    write(tmp_path / "above" / "ml-1m", MILLION, "latin-1")
    from_folder, from_archive = read_movielens(tmp_path / "above"), read_movielens(archive)
    assert from_archive.interactions.equals(from_folder.interactions)
    assert from_archive.items.equals(from_folder.items)
    assert said(from_archive) == said(from_folder)
    assert from_archive.files == (archive,)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["above", "ml-1m.zip"]


def test_the_folder_itself_wins_over_copies_inside(tmp_path):
    write(tmp_path / "copy", MILLION)
    assert read_movielens(write(tmp_path, LATEST)).interactions.height == 2


@pytest.mark.parametrize("name", ["../ratings.csv", "/etc/ratings.csv", "a\\..\\..\\x", "C:/x"])
def test_an_archive_must_not_lead_out_of_itself(tmp_path, name):
    archive = zipped(tmp_path / "ml.zip", {**LATEST, name: "x"})
    with pytest.raises(DataError, match="which leads out of the archive"):
        read_movielens(archive)


def test_a_damaged_archive(tmp_path):
    path = zipped(tmp_path / "ml.zip", {**LATEST, "ratings.csv": LATEST["ratings.csv"] * 50})
    data = path.read_bytes()
    path.write_bytes(data[:60] + b"\xff" * 30 + data[90:])
    with pytest.raises(DataError, match=r"ml\.zip' cannot be unpacked as a \.zip archive"):
        read_movielens(path)
    path.write_bytes(data[:-40])
    with pytest.raises(DataError, match="cannot be unpacked"):
        read_movielens(path)


REFUSED = {
    "nothing": ({"a.txt": "", "b.csv": ""}, r"holds 'a\.txt', 'b\.csv'; expected were u\.data, "),
    "half": ({"u.data": "1\t1\t1\t1"}, r"holds 'u\.data'; expected were .*u\.item and u\.genre"),
    "two": ({**LATEST, **MILLION}, r"holds several releases: 'ratings\.dat', 'ratings\.csv'"),
    "flag": (
        {**HUNDRED, "u.item": HUNDRED["u.item"].replace("|0|0|1|0", "|0|0|7|0")},
        r"genre in line 4 of 'u\.item' is neither 0 nor 1; .* of the 4 lines of u\.genre",
    ),
    "a field too few": (
        {**MILLION, "movies.dat": "1::A (1999)::Drama\n2::B: C (1999)\n"},
        r"Line 2 of '.*movies\.dat' has 2 fields where 3 were expected.*'::'; mend",
    ),
    "other columns": (
        {**LATEST, "ratings.csv": f"user,movieId,rating,timestamp\n1,2,3,{T}\n"},
        r"ratings\.csv' has user, movieId, .*; expected was a header with userId, movieId, rating",
    ),
    "no time": (
        {**MILLION, "ratings.dat": f"1::2::3::{T}\n1::2::3::never\n"},
        r"1 row .* has no readable time; first in line 2 of 'ratings\.dat'.*--drop-invalid",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_message(tmp_path, case):
    files, message = REFUSED[case]
    with pytest.raises(DataError, match=message):
        read_movielens(write(tmp_path, files))


def test_paths_that_are_no_release(tmp_path):
    write(tmp_path / "a", LATEST)
    write(tmp_path / "b", LATEST)
    for path, message in (
        (tmp_path, r"holds several datasets, in 'a', 'b'. Name the folder of one"),
        (tmp_path / "a" / "ratings.csv", r"is a file; the folder of the dataset .*: '.*/a'"),
        (tmp_path / "c", r"c' does not exist"),
        (tmp_path / "c.zip", r"c\.zip' does not exist"),
    ):
        with pytest.raises(DataError, match=message):
            read_movielens(path)


def test_broken_ratings_can_be_dropped(tmp_path):
    files = {**MILLION, "ratings.dat": f"1::2::3::{T}\n1::::3::{T}\n1::2::x::{T}\n1::2::3::never\n"}
    raw = read_movielens(write(tmp_path, files), drop_invalid=True)
    assert raw.interactions.rows() == [("1", "2", T, 3.0)]
    assert said(raw).count("dropped 1 row with") == 3


def test_pictures_by_film(tmp_path):
    posters = tmp_path / "posters"
    posters.mkdir()
    Image.new("RGB", (4, 4)).save(posters / "11.jpg")
    raw = read_movielens(write(tmp_path / "ml", LATEST), posters)
    assert raw.images == posters
    assert raw.items["image"].to_list() == ["11.jpg", None, None, None]
