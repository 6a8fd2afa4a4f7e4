"""Which column is what: exact aliases, explicit names, and the nearest name in the message."""

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from vlmrec.core.columns import (
    DESCRIPTION,
    EVENT,
    IMAGE,
    ITEM_ID,
    RATING,
    TIMESTAMP,
    TITLE,
    USER_ID,
)
from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import DataError

# Spellings are compared in lower case without anything but letters and digits; of several
# columns that fit, the alias that comes first wins (Amazon 2023 has parent_asin beside asin).
_ALIASES: dict[str, tuple[str, ...]] = {
    USER_ID: (
        *("userid", "uid", "user", "reviewerid", "customerid", "visitorid", "memberid"),
        *("accountid", "profileid", "clientid", "sessionid", "customer", "u"),
    ),
    ITEM_ID: (
        *("itemid", "iid", "item", "parentasin", "asin", "movieid", "productid", "articleid"),
        *("bookid", "isbn", "businessid", "trackid", "songid", "sku", "newsid", "videoid"),
        *("contentid", "gameid", "gmapid", "recipeid", "pid", "product", "movie", "i"),
    ),
    TIMESTAMP: (
        *("timestamp", "unixreviewtime", "unixtime", "time", "ts", "datetime", "date"),
        *("eventtime", "createdat", "reviewtime", "reviewdate", "timestampms", "t"),
    ),
    RATING: ("rating", "weight", "overall", "stars", "score", "ratings"),
    EVENT: ("event", "eventtype", "action", "behavior", "behaviour", "type"),
    TITLE: ("title", "name", "itemtitle", "itemname", "productname", "producttitle", "movietitle"),
    DESCRIPTION: (
        *("description", "desc", "plot", "overview", "abstract", "summary", "itemdescription"),
        *("productdescription", "text"),
    ),
    IMAGE: (
        *("image", "imagepath", "imagefile", "picture", "photo", "img", "poster", "cover"),
        *("imageurlhighres", "imageurl", "imurl", "images"),
    ),
}
_OPTION = {
    USER_ID: "--user",
    ITEM_ID: "--item",
    TIMESTAMP: "--time",
    RATING: "--rating",
    TITLE: "--title",
    DESCRIPTION: "--description",
    IMAGE: "--image",
}
_MEANING = {USER_ID: "user", ITEM_ID: "item", TIMESTAMP: "time"}


class ColumnNames(StrictConfig):
    """Names of columns where they should not be guessed; a number counts columns from 1."""

    user: str | None = None
    item: str | None = None
    time: str | None = None
    rating: str | None = None
    title: str | None = None
    description: str | None = None
    image: str | None = None

    def given(self, column: str) -> str | None:
        """Returns the explicit name for one of the house's columns."""
        return {
            USER_ID: self.user,
            ITEM_ID: self.item,
            TIMESTAMP: self.time,
            RATING: self.rating,
            TITLE: self.title,
            DESCRIPTION: self.description,
            IMAGE: self.image,
        }.get(column)

    def all_given(self) -> dict[str, str]:
        """Returns every explicit name by the house's column."""
        return {column: name for column in _OPTION if (name := self.given(column)) is not None}


def normalised(name: str) -> str:
    """Returns a column name as aliases spell it.

    >>> normalised("User Id"), normalised("item_id:token")
    ('userid', 'itemid')
    """
    bare = re.sub(r":(token|float)(_seq)?$", "", name.strip().lower())
    return re.sub(r"[^a-z0-9]", "", bare)


def is_known(name: str) -> bool:
    """Returns whether a name is an alias of anything."""
    spelled = normalised(name)
    return any(spelled in aliases for aliases in _ALIASES.values())


def find_column(column: str, present: Sequence[str], given: str | None = None) -> str | None:
    """Returns which of the present columns plays the part of `column`, or None.

    Args:
        column: One of the house's column names.
        present: Columns of a file.
        given: An explicit name, or the number of a column counted from 1.
    """
    if given is not None:
        if given in present:
            return given
        if given.isdigit() and 1 <= int(given) <= len(present):
            return present[int(given) - 1]
    spelled = {normalised(name): name for name in reversed(present)}
    return next((spelled[alias] for alias in _ALIASES[column] if alias in spelled), None)


def missing_column(column: str, present: Sequence[str], file: str) -> DataError:
    """Returns the error for a file without a column that it must have."""
    near = _nearest_to_any(present, (column, *_ALIASES[column]))
    example = near or present[0]
    hint = f"The nearest is '{near}': n" if near else "N"
    return DataError(
        f"'{file}' has no column for the {_MEANING[column]}. Found: {', '.join(present)}.",
        f"{hint}ame it with {_OPTION[column]} {example if near else 'COLUMN'}.",
    )


def check_given_names(names: ColumnNames, tables: Sequence[Sequence[str]]) -> None:
    """Raises DataError where an explicit name is a column of none of the files."""
    for column, name in names.all_given().items():
        if any(
            name in present or (name.isdigit() and 1 <= int(name) <= len(present))
            for present in tables
        ):
            continue
        present = list(dict.fromkeys(each for table in tables for each in table))
        near = _nearest_to_any(present, (name,))
        hint = f"Did you mean '{near}'? " if near else ""
        raise DataError(
            f"{_OPTION[column]} {name}: no file has a column '{name}'.",
            f"{hint}Found: {', '.join(present)}.",
        )


def _nearest_to_any(present: Iterable[str], wanted: Sequence[str]) -> str | None:
    def likeness(name: str) -> float:
        spelled = normalised(name)
        return max(SequenceMatcher(None, spelled, normalised(each)).ratio() for each in wanted)

    best = max(present, key=likeness, default=None)
    return best if best is not None and likeness(best) >= 0.6 else None
