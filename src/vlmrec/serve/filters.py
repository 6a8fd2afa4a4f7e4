"""Which items a request allows: a small language over the attributes of the catalogue.

    genres has "Comedy" and (year >= 1990 or rated in ("G", "PG")) and not country = "USA"

Comparisons are ``= != < <= > >=``, ``in (...)``, ``has`` (a list holds a value, a text holds a
part) and ``is missing``; they are joined by ``and``, ``or``, ``not`` and brackets. Items without
the attribute satisfy none of the comparisons, and so all of their negations.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vlmrec.core.errors import ConfigError, nearest

LONGEST = 2000
"""Characters of an expression."""
_DEEPEST = 40
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>-?\d+(?:\.\d+)?(?![\w.])) | (?P<text>"(?:[^"\\]|\\["\\])*") |
      (?P<name>[A-Za-z_]\w*) | (?P<mark><=|>=|!=|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_WORDS = frozenset({"and", "or", "not", "in", "has", "is", "missing", "true", "false"})
_COMPARE: dict[str, Callable[[pl.Expr, Any], pl.Expr]] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}

Value = str | float | int | bool


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int


def allowed_by(expression: str, table: pl.DataFrame) -> NDArray[np.bool_]:
    """Returns ``[n] bool``: which rows of a table an expression allows.

    Args:
        expression: See above.
        table: One row an item, its attributes as columns.

    Raises:
        ConfigError: The expression cannot be read, names an attribute that there is not, or
            compares it with a value of another kind; the message says where.
    """
    if len(expression) > LONGEST:
        raise ConfigError(
            f"The filter has {len(expression):,} characters; expected at most {LONGEST:,}."
        )
    found = _Reader(expression, table).read()
    return table.select(found.fill_null(value=False).alias("allowed"))["allowed"].to_numpy()


class _Reader:
    """Reads an expression from left to right, one token ahead."""

    def __init__(self, expression: str, table: pl.DataFrame) -> None:
        self._tokens = _tokens(expression)
        self._place = 0
        self._schema = table.schema
        self._depth = 0

    def read(self) -> pl.Expr:
        found = self._either()
        if self._next.kind != "end":
            raise self._unexpected("'and', 'or' or the end")
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self) -> _Token:
        self._place += 1
        return self._tokens[self._place - 1]

    def _is(self, text: str) -> bool:
        token = self._next
        return token.kind in ("mark", "word") and token.text == text

    def _taken(self, text: str) -> bool:
        if not self._is(text):
            return False
        self._place += 1
        return True

    def _either(self) -> pl.Expr:
        found = self._both()
        while self._taken("or"):
            found = found | self._both()
        return found

    def _both(self) -> pl.Expr:
        found = self._one()
        while self._taken("and"):
            found = found & self._one()
        return found

    def _one(self) -> pl.Expr:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ConfigError(f"The filter is nested more than {_DEEPEST} levels deep.")
        try:
            if self._taken("not"):
                return ~self._one()
            if self._taken("("):
                found = self._either()
                if not self._taken(")"):
                    raise self._unexpected("')'")
                return found
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> pl.Expr:
        token = self._next
        if token.kind != "name":
            raise self._unexpected("the name of an attribute")
        if token.text not in self._schema:
            raise ConfigError(
                f"The filter names the attribute '{token.text}', which items do not have.",
                nearest(token.text, self._schema),
            )
        self._take()
        return self._compared(token.text).fill_null(value=False)

    def _compared(self, name: str) -> pl.Expr:
        column, kind = pl.col(name), self._schema[name]
        if self._taken("is"):
            if not self._taken("missing"):
                raise self._unexpected("'missing'")
            empty = column.list.len() == 0 if isinstance(kind, pl.List) else pl.lit(value=False)
            return column.is_null() | empty.fill_null(value=False)
        if self._taken("has"):
            return self._has(name, kind)
        if isinstance(kind, pl.List):
            raise ConfigError(
                f"The attribute '{name}' is a list.", f'Write: {name} has "...", or is missing.'
            )
        if self._taken("in"):
            return column.is_in(self._values(name, kind))
        if self._next.kind == "mark" and self._next.text in _COMPARE:
            compare = _COMPARE[self._take().text]
            return compare(column, self._value(name, kind))
        raise self._unexpected("=, !=, <, <=, >, >=, 'in', 'has' or 'is missing'")

    def _has(self, name: str, kind: pl.DataType) -> pl.Expr:
        if isinstance(kind, pl.List):
            return pl.col(name).list.contains(self._value(name, pl.String()))
        if kind != pl.String:
            raise ConfigError(f"'has' asks a list or a text; the attribute '{name}' is a number.")
        return pl.col(name).str.contains(str(self._value(name, kind)), literal=True)

    def _values(self, name: str, kind: pl.DataType) -> list[Value]:
        if not self._taken("("):
            raise self._unexpected("'('")
        values = [self._value(name, kind)]
        while self._taken(","):
            values.append(self._value(name, kind))
        if not self._taken(")"):
            raise self._unexpected("',' or ')'")
        return values

    def _value(self, name: str, kind: pl.DataType) -> Value:
        token = self._next
        value: Value
        if token.kind == "text":
            value, wanted = re.sub(r"\\(.)", r"\1", token.text[1:-1]), kind == pl.String
        elif token.kind == "number":
            value, wanted = float(token.text), kind.is_numeric()
            value = int(value) if value.is_integer() else value
        elif token.kind == "word" and token.text in ("true", "false"):
            value, wanted = token.text == "true", kind == pl.Boolean
        else:
            raise self._unexpected('a number, a "text" in double quotes, true or false')
        if not wanted:
            raise ConfigError(
                f"The filter compares the attribute '{name}', {_kind_name(kind)}, "
                f"with {token.text}."
            )
        self._take()
        return value

    def _unexpected(self, expected: str) -> ConfigError:
        token = self._next
        given = "its end" if token.kind == "end" else f"'{token.text}'"
        return ConfigError(
            f"The filter cannot be read at character {token.place + 1}: {given} was given, "
            f"{expected} was expected."
        )


def _tokens(expression: str) -> list[_Token]:
    tokens: list[_Token] = []
    place = 0
    while place < len(expression.rstrip()):
        found = _TOKEN.match(expression, place)
        if found is None:
            rest = expression[place:].lstrip()
            raise ConfigError(
                f"The filter cannot be read at character {len(expression) - len(rest) + 1}: "
                f"{rest[:20]!r} is no part of an expression.",
                'Texts stand in double quotes: country = "USA".',
            )
        kind = str(found.lastgroup)
        text = found[kind]
        if kind == "name" and text.lower() in _WORDS:
            kind, text = "word", text.lower()
        tokens.append(_Token(kind, text, found.start(str(found.lastgroup))))
        place = found.end()
    return [*tokens, _Token("end", "", len(expression))]


def _kind_name(kind: pl.DataType) -> str:
    if kind == pl.String:
        return "a text"
    if kind == pl.Boolean:
        return "true or false"
    return "a number" if kind.is_numeric() else f"a {kind}"
