"""Times in whatever unit or spelling -> int64 seconds UTC, and which of them are not times."""

from dataclasses import dataclass

import polars as pl

# Upper bounds of plausible values. 1e11 seconds is the year 5138, 1e11 milliseconds is 1973:
# nothing that people log lies on the wrong side.
_UNITS = (
    ("seconds", 1, 10**11),
    ("milliseconds", 10**3, 10**14),
    ("microseconds", 10**6, 10**17),
    ("nanoseconds", 10**9, 2**63 - 1),
)
_DIGITS = (("%Y%m%d", 10**7, 10**8), ("%Y%m%d%H%M%S", 10**13, 10**14))
"""Dates written as one number, and between which numbers they lie."""
_DATE = r"^\d{4}-\d{2}-\d{2}"
_OFFSET = r"T.*[+-]\d{2}:\d{2}$"


@dataclass(frozen=True, eq=False)
class Times:
    """Times as far as they could be read.

    Attributes:
        seconds: ``[n] Int64`` seconds UTC, null where `unreadable`.
        unit: What the source counted in ("seconds", "milliseconds", ..., "dates").
        unreadable: ``[n] bool`` empty or not a time.
        negative: ``[n] bool`` before 1970.
        foreign: ``[n] bool`` in another unit than the rest.
    """

    seconds: pl.Series
    unit: str
    unreadable: pl.Series
    negative: pl.Series
    foreign: pl.Series


def read_times(values: pl.Series) -> Times:
    """Returns the times in a column of numbers, dates or text.

    The unit of numbers follows from the size of their median; numbers of which nearly all read as
    dates, such as 20240228 or 20240228173000, are dates. Dates without a zone are UTC.
    """
    if values.dtype.is_temporal():
        return _from_seconds(values.cast(pl.Datetime("us")).dt.epoch("s"), "dates")
    if values.dtype.is_numeric():
        return _from_numbers(values)
    text = values.cast(pl.String).str.strip_chars()
    numbers = _numbers_in(text)
    if numbers.null_count() == text.null_count():
        return _from_numbers(numbers)
    dates = _dates_in(text)
    if dates.null_count() < numbers.null_count():
        return _from_seconds(dates, "dates")
    return _from_numbers(numbers)


def looks_like_time(text: str) -> bool:
    """Returns whether a cell could be a point in time: a large number or a date."""
    times = read_times(pl.Series([text]))
    value = times.seconds.item()
    return value is not None and (times.unit != "seconds" or value >= 10**8)


def _numbers_in(text: pl.Series) -> pl.Series:
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return whole
    broken = text.cast(pl.Float64, strict=False)
    return broken if broken.null_count() < whole.null_count() else whole


def _from_numbers(values: pl.Series) -> Times:
    if values.dtype.is_float():
        values = values.set(~values.is_finite(), None)
        scaled = values.floor()
    else:
        scaled = values.cast(pl.Int64, strict=False)
    positive = scaled.filter(scaled > 0)
    middle = positive.median() if len(positive) else 0
    size = float(middle) if isinstance(middle, (int, float)) else 0.0
    place = next(k for k, (_, _, bound) in enumerate(_UNITS) if size < bound or k == 3)
    dates = _dates_in_digits(scaled, size)
    if dates is not None:
        return _from_seconds(dates, "dates")
    unit, scale, upper = _UNITS[place]
    lower = _UNITS[place - 1][2] if place else 0
    foreign = ((scaled >= upper) | ((scaled > 0) & (scaled < lower))).fill_null(value=False)
    seconds = (scaled // scale).cast(pl.Int64, strict=False)
    return _from_seconds(seconds, unit, foreign)


def _dates_in_digits(numbers: pl.Series, middle: float) -> pl.Series | None:
    """Returns seconds where at least nine in ten numbers spell a day from 1970 to 2099."""
    for form, lower, upper in _DIGITS:
        if not lower <= middle < upper:
            continue
        text = numbers.cast(pl.Int64, strict=False).cast(pl.String)
        dates = text.str.to_datetime(form, strict=False, time_unit="us")
        fits = dates.dt.year().is_between(1970, 2099).fill_null(value=False)
        if fits.sum() >= 0.9 * (len(numbers) - numbers.null_count()):
            return dates.set(~fits, None).dt.epoch("s")
    return None


def _from_seconds(seconds: pl.Series, unit: str, foreign: pl.Series | None = None) -> Times:
    negative = (seconds < 0).fill_null(value=False)
    none = pl.Series([False]).new_from_index(0, len(seconds))
    return Times(seconds, unit, seconds.is_null(), negative, none if foreign is None else foreign)


def _dates_in(text: pl.Series) -> pl.Series:
    iso = (
        text.str.replace(r"^(\d{4})[/.](\d{2})[/.](\d{2})", "${1}-${2}-${3}")
        .str.replace(rf"({_DATE})$", "${1}T00:00:00")
        .str.replace(rf"({_DATE}) ", "${1}T")
        .str.replace(r"\s*(Z|z|UTC)$", "+00:00")
        .str.replace(r"(T.*[+-]\d{2})(\d{2})$", "${1}:${2}")
        .str.replace(r"(T.*[+-]\d{2})$", "${1}:00")
        .str.replace(r"(T\d{2}:\d{2})($|[+-])", "${1}:00${2}")
    )
    zoned = iso.str.contains(_OFFSET)
    iso = pl.select(pl.when(zoned).then(iso).otherwise(iso + "+00:00")).to_series()
    parsed = iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", strict=False, time_unit="us")
    if parsed.null_count() == len(parsed):
        # Amazon's reviewTime: "09 1, 2016"
        parsed = text.str.to_datetime("%m %d, %Y", strict=False, time_unit="us")
    return parsed.dt.epoch("s")
