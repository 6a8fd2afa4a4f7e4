"""Metadata of Amazon Reviews, three releases in one table of items.

2014: one Python dict a line. 2018 and 2023: one JSON object a line. The same thing has other names
and other types in each: `_row` says where a column comes from.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

import polars as pl

from vlmrec.core.columns import DESCRIPTION, IMAGE_URL, ITEM_ID, TITLE
from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note, amount, some
from vlmrec.data.sources.json_columns import numbered_lines
from vlmrec.data.sources.json_object import parse_object
from vlmrec.data.sources.python_literals import LiteralParser
from vlmrec.data.sources.text_fields import clean_texts, clean_word_lists

BRAND, CATEGORIES, FEATURES, PRICE = "brand", "categories", "features", "price"
MAIN_CATEGORY = "main_category"
_ID = re.compile(r'(?<!\\)"(?:parent_)?asin"\s*:\s*"([^"\\]+)"')
_OBJECT = re.compile(r'\s*\{\s*"')
_ID_OF_LITERAL = re.compile(r"^\{'asin': '([^'\\]+)'")
_PRICE = re.compile(r"^\$?\s*(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?$")
_PLACEHOLDER = "no-img-sm"
_SCRIPT = "getTime"
_SCHEMA: dict[str, pl.DataType] = {
    ITEM_ID: pl.String(),
    TITLE: pl.String(),
    BRAND: pl.String(),
    MAIN_CATEGORY: pl.String(),
    CATEGORIES: pl.List(pl.String()),
    FEATURES: pl.List(pl.String()),
    DESCRIPTION: pl.List(pl.String()),
    PRICE: pl.Float64(),
    IMAGE_URL: pl.String(),
}


@dataclass
class _Census:
    """What was met in one file."""

    lines: int = 0
    unwanted: int = 0
    repeated: list[str] = field(default_factory=list[str])
    nameless: int = 0
    scripts: int = 0
    no_price: int = 0
    placeholders: int = 0
    broken: list[int] = field(default_factory=list[int])


def read_amazon_items(
    path: Path, wanted: frozenset[str], *, drop_invalid: bool = False
) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Returns the items of a metadata file, and notes.

    Args:
        path: ``meta_*.json``, ``meta_*.jsonl``, plain or gzip.
        wanted: Ids that were reviewed; a catalogue of millions holds many that were not.
        drop_invalid: Leave out broken lines instead of complaining.

    Raises:
        DataError: A line cannot be parsed (with its number).
    """
    census = _Census()
    rows: dict[str, list[Any]] = {name: [] for name in _SCHEMA}
    seen: set[str] = set()
    for item_id, record in _records(path, wanted, census, drop_invalid):
        if item_id in seen:
            census.repeated.append(item_id)
            continue
        seen.add(item_id)
        for name, value in _row(item_id, record, census).items():
            rows[name].append(value)
    frame = pl.DataFrame(rows, schema=_SCHEMA)
    notes = list(_say(path, frame, census))
    return _readable(frame, path, notes), tuple(notes)


def _records(
    path: Path, wanted: frozenset[str], census: _Census, drop_invalid: bool
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    literal = LiteralParser(unused=("related", "salesRank"))
    for number, line in numbered_lines(path):
        census.lines += 1
        is_json = _OBJECT.match(line) is not None
        if _surely_unwanted(line, is_json, wanted):
            census.unwanted += 1
            continue
        try:
            record = parse_object(line) if is_json else literal.parse(line)
        except ValueError as error:
            if not drop_invalid:
                raise DataError(
                    f"Line {number:,} of '{path}' cannot be read: {error}: {line[:80]!r}.",
                    "Mend or delete that line, or leave such lines out with --drop-invalid.",
                ) from None
            census.broken.append(number)
            continue
        item_id = _text(record.get("parent_asin")) or _text(record.get("asin"))
        if item_id is None:
            census.nameless += 1
        elif item_id not in wanted:
            census.unwanted += 1
        else:
            yield item_id, record


def _surely_unwanted(line: str, is_json: bool, wanted: frozenset[str]) -> bool:
    """Returns whether a line names an item, and none that is wanted; parsing takes far longer."""
    found = (_ID if is_json else _ID_OF_LITERAL).search(line)
    if found is None or found[1] in wanted:
        return False
    if not is_json or 'asin"' not in line[found.end() :]:
        return True
    return wanted.isdisjoint(_ID.findall(line))  # a variant, or what is sold with it, came first


def _row(item_id: str, record: Mapping[str, Any], census: _Census) -> dict[str, Any]:
    title = _text(record.get("title"))
    if title is not None and _SCRIPT in title:  # rows into which a page's script was scraped
        census.scripts += 1
        title = None
    price = _price(record.get("price"))
    census.no_price += price is None and _text(record.get("price")) is not None
    url = _picture(record)
    if url is not None and _PLACEHOLDER in url:
        census.placeholders += 1
        url = None
    return {
        ITEM_ID: item_id,
        TITLE: title,
        BRAND: _text(record.get("brand")) or _text(record.get("store")),
        MAIN_CATEGORY: _text(record.get("main_category")) or _text(record.get("main_cat")),
        CATEGORIES: _words(record.get("categories") or record.get("category")),
        FEATURES: _words(record.get("features") or record.get("feature")),
        DESCRIPTION: _words(record.get("description")),
        PRICE: price,
        IMAGE_URL: url,
    }


def _text(value: object) -> str | None:
    """Returns what a key holds as words, or None where it says nothing."""
    if value is None or isinstance(value, list | dict):
        return None
    text = str(value).strip()
    if not text.isascii():  # half of a pair of surrogates is no character
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text or None


def _words(value: object) -> list[str]:
    """Returns a string, a list, or a list of lists as distinct words in their order."""
    if isinstance(value, list):
        flat = [word for each in cast("list[object]", value) for word in _words(each)]
        return list(dict.fromkeys(flat))
    text = _text(value)
    return [] if text is None else [text]


def _price(value: object) -> float | None:
    """Returns a price, or None for ranges, words and style sheets."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            price = float(value)
        elif found := _PRICE.match(_text(value) or ""):
            price = float(found[1].replace(",", "") + (found[2] or ""))
        else:
            return None
    except OverflowError:
        return None
    return price if math.isfinite(price) else None


def _picture(record: Mapping[str, Any]) -> str | None:
    """Returns the address of the main picture, the largest there is."""
    for key in ("imageURLHighRes", "imageURL"):
        if urls := _words(record.get(key)):
            return urls[0]
    pictures = _pictures(record.get("images"))
    main = next((each for each in pictures if each.get("variant") == "MAIN"), None)
    for each in [main, *pictures] if main is not None else pictures:
        for size in ("hi_res", "large", "thumb"):
            if url := _text(each.get(size)):
                return url
    return _text(record.get("imUrl"))


def _pictures(value: object) -> list[Mapping[str, Any]]:
    """Returns a list of objects; on the hub the same is one object of lists."""
    if isinstance(value, dict):
        given = cast("dict[str, object]", value)
        columns = {k: cast("list[Any]", one) for k, one in given.items() if isinstance(one, list)}
        rows = zip_longest(*columns.values())  # a size that no picture has is an empty list
        return [dict(zip(columns, each, strict=True)) for each in rows]
    if not isinstance(value, list):
        return []
    entries = cast("list[object]", value)
    return [cast("Mapping[str, Any]", each) for each in entries if isinstance(each, dict)]


def _readable(frame: pl.DataFrame, path: Path, notes: list[Note]) -> pl.DataFrame:
    """Returns the table without HTML, lists of one description joined."""
    cleaned: list[pl.Series] = []
    for column in frame:
        name = column.name
        if name in (ITEM_ID, PRICE, IMAGE_URL):
            cleaned.append(column)
            continue
        if column.dtype == pl.String:
            column, n_changed = clean_texts(column)
        else:
            column, n_changed = clean_word_lists(column)
        if n_changed:
            sentence = f"'{path.name}': HTML taken out of {amount(n_changed, 'text')} in '{name}'."
            notes.append(Note("changed", n_changed, sentence))
        cleaned.append(clean_texts(column.list.join(" "))[0] if name == DESCRIPTION else column)
    return pl.DataFrame(cleaned)


def _say(path: Path, frame: pl.DataFrame, census: _Census) -> Iterator[Note]:
    name = f"'{path.name}'"
    yield Note("took", frame.height, f"{name}: {amount(frame.height, 'item')} that were reviewed.")
    n_repeated, n_broken = len(census.repeated), len(census.broken)
    told = (
        (census.unwanted, "item", "nobody reviewed", ""),
        (n_repeated, "row", "whose item had one already (the first counts)", census.repeated),
        (census.nameless, "row", "without an id", ""),
        (n_broken, "line", "that cannot be read", census.broken),
        (census.scripts, "title", "that hold a page's script", ""),
        (census.no_price, "price", "that are no single price (ranges, words)", ""),
        (census.placeholders, "picture", "that stand for none (no-img)", ""),
    )
    for count, noun, what, examples in told:
        if count:
            shown = f": {some(examples)}" if examples else ""
            yield Note("dropped", count, f"{name}: {amount(count, noun)} {what}{shown}.")
