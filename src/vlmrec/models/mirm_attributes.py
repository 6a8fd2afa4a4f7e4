"""Which columns of a catalogue are attributes that a sentence can be made of, and their values."""

import re
from collections.abc import Sequence

import polars as pl

from vlmrec.core.columns import DESCRIPTION, IMAGE, ITEM_ID, TITLE
from vlmrec.core.errors import ConfigError, nearest

_STANDARD = (ITEM_ID, TITLE, DESCRIPTION, IMAGE)
_KEYS = frozenset(
    "id ids uuid key hash asin isbn sku ean upc gtin url urls uri link links "
    "image images picture pictures file files path timestamp".split()
)
# Counted from everybody's behaviour, the tested rows among it.
_COUNTED = frozenset(
    "rating ratings review reviews popularity rank ranking votes sales clicks views".split()
)
_MOST_WORDS = 12  # a longer value is a text; half of a column's values decide
_MOST_VALUES = 8  # of a list, such as everybody who acts in a film

Attributes = dict[str, tuple[str, ...]]
"""What is known of one item: name -> values as words, without the empty ones."""


def attribute_columns(table: pl.DataFrame, named: Sequence[str] | None = None) -> list[str]:
    """Returns the columns that describe items in few words.

    Left out are names of keys and files (``imdb_id``, ``image_source``, ``url``), figures that
    are counted from behaviour (``average_rating``, ``popularity``), yes-or-no columns, lists of
    numbers, web addresses, and long texts.

    Args:
        table: A catalogue's table.
        named: The user's own choice, which replaces all of this.

    Raises:
        ConfigError: A named column is not there, or is no attribute by its kind.
    """
    others = [name for name in table.columns if name not in _STANDARD]
    if named is None:
        return [name for name in others if _describes(table[name])]
    for name in named:
        if name not in others:
            raise ConfigError(
                f"Attribute '{name}' is not a column of the items table.", nearest(name, others)
            )
        if not _readable(table.schema[name]) and table.schema[name] != pl.Boolean:
            raise ConfigError(
                f"Attribute '{name}' holds {table.schema[name]}, neither words nor numbers.",
                "Leave it out.",
            )
    return list(named)


def attributes_of(table: pl.DataFrame, columns: Sequence[str]) -> list[Attributes]:
    """Returns the attributes of every row; what is empty is not in it.

    Args:
        table: A catalogue's table.
        columns: From `attribute_columns`.
    """
    rows: list[Attributes] = [{} for _ in range(table.height)]
    for name in columns:
        for row, value in zip(rows, table[name].to_list(), strict=True):
            if words := _values(value):
                row[name] = words
    return rows


def _describes(column: pl.Series) -> bool:
    words = set(re.findall(r"[a-z]+", _spaced(column.name).lower()))
    if not _readable(column.dtype) or words & (_KEYS | _COUNTED):
        return False
    if column.dtype.is_numeric():
        return True
    text = column.explode() if column.dtype == pl.List(pl.String) else column
    filled = text.cast(pl.String).drop_nulls().str.strip_chars()
    filled = filled.filter(filled != "")
    addresses = filled.str.contains("://", literal=True).sum()
    lengths = filled.str.count_matches(r"\S+").quantile(0.5) or 0
    return addresses * 2 <= len(filled) and lengths <= _MOST_WORDS


def _readable(kind: pl.DataType) -> bool:
    """Returns whether values can stand in a sentence."""
    words = (pl.String, pl.List(pl.String), pl.Date)
    return kind in words or kind.is_numeric() or isinstance(kind, pl.Categorical | pl.Enum)


def _spaced(name: str) -> str:
    """Returns camelCase in words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def _values(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        found = [_plain(one) for one in value]
        return tuple(dict.fromkeys(one for one in found if one))[:_MOST_VALUES]
    text = _plain(value)
    return (text,) if text else ()


def _plain(value: object) -> str:
    """Returns one value as words, "" where it says nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return ""
        return format(value, ".15g") if abs(value) < 1e15 else str(value)
    return " ".join(str(value).split())
