"""Words as people should read them: entities unescaped, tags stripped, lists flat."""

import html
import re

import polars as pl

_HIDDEN = re.compile(r"<(script|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(?:/?[a-zA-Z][^<>]*|!--.*?--|![^<>]*)>", re.DOTALL)


def readable(text: str) -> str:
    """Returns a text without HTML.

    >>> readable("Pr45&quot; <b>Wht</b> 3 &lt; 5")
    'Pr45" Wht 3 < 5'
    """
    text = html.unescape(text)
    text = _TAG.sub(" ", _HIDDEN.sub(" ", text))
    return " ".join(text.split())


def clean_texts(texts: pl.Series) -> tuple[pl.Series, int]:
    """Returns texts without HTML and surplus blanks, and how many held HTML.

    Args:
        texts: Strings or null; "" becomes null, since both say that there is no text.
    """
    suspects = texts.str.contains("[<&]").fill_null(value=False)
    trimmed = texts.str.replace_all(r"\s+", " ").str.strip_chars()
    n_changed = 0
    if suspects.any():
        before = texts.filter(suspects)
        after = pl.Series([readable(text) for text in before], dtype=pl.String)
        n_changed = int((after != trimmed.filter(suspects)).sum())
        trimmed = trimmed.scatter(suspects.arg_true(), after)
    frame = trimmed.rename("text").to_frame()
    empty = pl.col("text").str.len_bytes() == 0
    return frame.select(pl.when(~empty).then("text")).to_series().rename(texts.name), n_changed


def clean_word_lists(lists: pl.Series) -> tuple[pl.Series, int]:
    """Returns lists of words without HTML, blanks and empty entries, and how many words held HTML.

    Args:
        lists: Lists of strings; null stays null.
    """
    rows = lists.rename("words").to_frame().with_row_index("row")
    words = rows.explode("words").drop_nulls("words")
    cleaned, n_changed = clean_texts(words["words"])
    packed = (
        words.with_columns(cleaned.alias("words"))
        .drop_nulls("words")
        .group_by("row", maintain_order=True)
        .agg("words")
    )
    joined = rows.select("row", pl.col("words").is_null().alias("absent")).join(
        packed, on="row", how="left", maintain_order="left"
    )
    nothing = pl.lit([], dtype=pl.List(pl.String))
    filled = pl.when("absent").then(None).otherwise(pl.coalesce("words", nothing))
    return joined.select(filled.alias(lists.name)).to_series(), n_changed
