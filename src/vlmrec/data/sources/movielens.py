"""MovieLens of any release: ratings, and films with title, genres and year.

References:
    F. M. Harper, J. A. Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5 (2015).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from vlmrec.core.columns import ITEM_ID, TITLE
from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note, amount, some
from vlmrec.data.sources.columns_guess import ColumnNames
from vlmrec.data.sources.delimited import open_with_layout
from vlmrec.data.sources.delimited_layout import Layout
from vlmrec.data.sources.film_titles import with_article_in_front, year_in
from vlmrec.data.sources.item_columns import read_item_table
from vlmrec.data.sources.joining import join_items
from vlmrec.data.sources.log_columns import read_log_table
from vlmrec.data.sources.pictures import attach_pictures
from vlmrec.data.sources.published_files import (
    check_columns,
    files_missing,
    find_published,
    say_unread,
)
from vlmrec.data.sources.raw_tables import RawTables
from vlmrec.data.sources.reading import Reader
from vlmrec.data.sources.scratch import scratch_folder
from vlmrec.data.sources.source_table import SourceTable
from vlmrec.data.sources.text_encoding import examine

_RATING_COLUMNS = ("userId", "movieId", "rating", "timestamp")
_FILM_COLUMNS = ("movieId", "title", "genres")
_NAMES = ColumnNames(user="userId", item="movieId", rating="rating", time="timestamp")
_OLD_FILM_COLUMNS = ("movieId", "title", "released", "on video", "IMDb address")
_GENRES, _YEAR = "genres", "year"
_NO_GENRES = "(no genres listed)"
_NO_TITLE = "unknown"

_FORMS = (
    ("u.data", "u.item", "u.genre"),
    ("ratings.dat", "movies.dat"),
    ("ratings.csv", "movies.csv"),
)
_EXPECTED = (
    "u.data, u.item and u.genre (100K), ratings.dat and movies.dat (1M, 10M), or ratings.csv and "
    "movies.csv (latest, 20M and later)"
)
# Ratings and films, as the README of each release counts them. "latest" says nothing by name.
_RELEASES = {
    (100_000, 1_682): "100K",
    (1_000_209, 3_883): "1M",
    (10_000_054, 10_681): "10M",
    (20_000_263, 27_278): "20M",
    (25_000_095, 62_423): "25M",
    (32_000_204, 87_585): "32M",
    (100_004, 9_125): "latest-small of October 2016",
    (100_836, 9_742): "latest-small of September 2018",
    (27_753_444, 58_098): "latest of September 2018",
    (33_832_162, 86_537): "latest of July 2023",
}


@dataclass(frozen=True, eq=False)
class _Opened:
    """The two tables of a release, their columns named as in its latest form."""

    ratings: SourceTable
    films: SourceTable
    notes: tuple[Note, ...] = ()


def read_movielens(
    path: Path, images: Path | None = None, *, drop_invalid: bool = False
) -> RawTables:
    """Returns the ratings of a release and its films.

    Films have a ``title`` ("The Big Sleep (1946)"; MovieLens writes "Big Sleep, The (1946)"),
    ``genres`` (words) and ``year`` (from the title, or null). Demography, tags and addresses
    are not read.

    Args:
        path: The release as it was published: a folder, or the .zip itself.
        images: A folder with ``<movieId>.jpg``.
        drop_invalid: Leave out ratings without id or readable time, instead of complaining.

    Raises:
        DataError: The files are none of MovieLens, or a line of one is broken.
    """
    with scratch_folder() as scratch:
        found = find_published(path, frozenset(sum(_FORMS, ())), scratch, _EXPECTED)
        form = _recognise(path, found.files)
        opened = _open(form, found.files, scratch)
        log = read_log_table(opened.ratings, _NAMES, drop_invalid=drop_invalid)
        table = read_item_table(opened.films, ColumnNames())
    films, film_notes = _tidy(table.frame, is_oldest=form == _FORMS[0])
    items, gaps = join_items(log.frame, films)
    pictures = attach_pictures(items, images, None)
    notes = (
        _say_release(log.frame.height, films.height),
        *(*log.notes, *table.notes, *opened.notes, *film_notes),
        *say_unread(found.others),
        *(*pictures.notes, *gaps),
    )
    files = (path,) if path.is_file() else tuple(found.files[name] for name in form)
    return RawTables(log.frame, pictures.items, pictures.root, notes, files)


def _recognise(path: Path, files: dict[str, Path]) -> tuple[str, ...]:
    """Returns the names of the files of the one release that is there."""
    complete = [form for form in _FORMS if all(name in files for name in form)]
    if not complete:
        raise files_missing(path, sorted(files), _EXPECTED)
    if len(complete) > 1:
        firsts = some([form[0] for form in complete])
        raise DataError(
            f"'{path}' holds several releases: {firsts}.", "Give each a folder of its own."
        )
    return complete[0]


def _open(form: tuple[str, ...], files: dict[str, Path], scratch: Path) -> _Opened:
    if form == _FORMS[0]:
        return _open_oldest(files, scratch)
    if form == _FORMS[1]:
        ratings = _plain(files[form[0]], "::", _RATING_COLUMNS, scratch)
        films = _plain(files[form[1]], "::", _FILM_COLUMNS, scratch)
    else:
        reader = Reader(scratch, frozenset({*_RATING_COLUMNS, *_FILM_COLUMNS}))
        ratings, films = (reader.open(files[name]) for name in form)
        check_columns(ratings, _RATING_COLUMNS)
        check_columns(films, _FILM_COLUMNS)
    words = pl.col(_GENRES).fill_null("").replace(_NO_GENRES, "").str.split("|")
    return _Opened(ratings, _narrowed(films, words))


def _plain(
    path: Path, separator: str, columns: tuple[str, ...], scratch: Path, encoding: str | None = None
) -> SourceTable:
    """Opens a file without header and quotes; a sign for inches in a title is no quote."""
    facts = examine(path, encoding)
    layout = Layout(separator, quoting=False, header=columns, has_header=False, is_known=True)
    return open_with_layout(path, scratch, replace(facts, reason=""), layout)


def _narrowed(films: SourceTable, genres: pl.Expr) -> SourceTable:
    frame = films.frame.select("movieId", "title", genres.alias(_GENRES))
    return replace(films, frame=frame, columns=_FILM_COLUMNS)


def _open_oldest(files: dict[str, Path], scratch: Path) -> _Opened:
    """Opens 100K: its films have a flag 0 or 1 for each line of u.genre."""
    data, item, genre = (files[name] for name in _FORMS[0])
    ratings = _plain(data, "\t", _RATING_COLUMNS, scratch)
    genres = _plain(genre, "|", ("genre", "number"), scratch).read()["genre"].to_list()
    flags = [f"flag {name}" for name in genres]
    films = _plain(item, "|", (*_OLD_FILM_COLUMNS, *flags), scratch, "latin-1")
    are_flags = pl.all_horizontal(pl.col(flags).is_in(["0", "1"]).fill_null(value=False))
    wrong = films.read((~are_flags).alias("wrong"))["wrong"]
    if wrong.any():
        raise DataError(
            f"A genre in {films.place(int(wrong.arg_max() or 0))} is neither 0 nor 1; behind the "
            f"first 5 fields stands a flag for each of the {len(genres)} lines of u.genre.",
            "Mend that line, or fetch the file again.",
        )
    words = [
        pl.when(pl.col(flag) == "1").then(pl.lit(name))
        for flag, name in zip(flags, genres, strict=True)
        if name != _NO_TITLE
    ]
    listed = pl.concat_list(words).list.drop_nulls()
    unread = _OLD_FILM_COLUMNS[2:]
    sentence = f"'{item.name}': {amount(len(unread), 'column')} not needed: {some(unread)}."
    return _Opened(ratings, _narrowed(films, listed), (Note("dropped", len(unread), sentence),))


def _tidy(films: pl.DataFrame, *, is_oldest: bool) -> tuple[pl.DataFrame, list[Note]]:
    """Returns films with readable titles and years, and what was done to them."""
    published: list[str | None] = films[TITLE].to_list()
    named = [None if is_oldest and title == _NO_TITLE else title for title in published]
    titles = [None if title is None else with_article_in_front(title) for title in named]
    years = [None if title is None else year_in(title) for title in titles]
    tidied = films.select(
        ITEM_ID,
        pl.Series(TITLE, titles, dtype=pl.String),
        _GENRES,
        pl.Series(_YEAR, years, dtype=pl.Int64),
    )
    notes: list[Note] = []
    turned = [(a, b) for a, b in zip(named, titles, strict=True) if a != b]
    if turned:
        sentence = (
            f"{amount(len(turned), 'title')} with the article in front again: '{turned[0][0]}' is "
            f"'{turned[0][1]}'."
        )
        notes.append(Note("changed", len(turned), sentence))
    n_unnamed = published.count(_NO_TITLE) if is_oldest else 0
    if n_unnamed:
        sentence = f"{amount(n_unnamed, 'film')} named '{_NO_TITLE}': no title."
        notes.append(Note("changed", n_unnamed, sentence))
    return tidied, [*notes, *_say_gaps(tidied)]


def _say_gaps(films: pl.DataFrame) -> Iterator[Note]:
    gaps = (
        (pl.col(_YEAR).is_null(), "without a year in the title"),
        (pl.col(_GENRES).list.len() == 0, "without genres"),
    )
    for condition, what in gaps:
        bare = films.filter(condition)
        if bare.height:
            named = bare.head(4).select(pl.coalesce(TITLE, ITEM_ID))[TITLE].to_list()
            sentence = f"{amount(bare.height, 'film')} {what}: {some(named)}."
            yield Note("kept", bare.height, sentence)


def _say_release(n_ratings: int, n_films: int) -> Note:
    counts = f"{amount(n_ratings, 'rating')} and {amount(n_films, 'film')}"
    name = _RELEASES.get((n_ratings, n_films))
    if name is not None:
        return Note("took", n_ratings, f"MovieLens {name}, by its {counts}.")
    sentence = (
        f"{counts}: no release of MovieLens that is known here has these counts. Is the download "
        "complete?"
    )
    return Note("warning", n_ratings, sentence)
