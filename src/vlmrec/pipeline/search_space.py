"""What may vary when a row of a recipe is tuned: options by path, each a list or a range."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Any, cast

from pydantic import Field, field_validator

from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import ConfigError, nearest
from vlmrec.models import model_class
from vlmrec.pipeline.planned_runs import parse_part
from vlmrec.pipeline.recipes import Recipe, Row
from vlmrec.pipeline.stages import Options, references, stage_order
from vlmrec.train.options import TrainOptions

_HELD = ("seed", "device", "tensorboard", "valid_metric")
_DIGITS = 4
_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


class Values(StrictConfig):
    """An option that takes one of several values."""

    values: tuple[Any, ...] = Field(min_length=1)
    """Numbers, words, true, false, null, or mappings of nested options."""

    @field_validator("values")
    @classmethod
    def _plain(cls, given: tuple[Any, ...]) -> tuple[Any, ...]:
        values = tuple(_number(value) for value in given)
        if len({_text(value) for value in values}) < len(values):
            raise ValueError("a value stands twice")
        return values


class Range(StrictConfig):
    """An option that takes a number between two others, both included."""

    low: int | float
    """Smallest value."""
    high: int | float
    """Largest value."""
    log: bool = False
    """Draw evenly on a logarithmic scale."""
    step: int | float | None = Field(default=None, gt=0)
    """Only `low`, `low + step`, and so on."""


@dataclass(frozen=True)
class Parameter:
    """One option that varies.

    Attributes:
        path: Of the option, as in ``vlmrec train --set``.
        among: What it may be.
        whole: Whether a range holds whole numbers only.
        present: The value that the row has without a search.
        inside: Whether that is one of those that it may be.
    """

    path: str
    among: Values | Range
    whole: bool = False
    present: Any = None
    inside: bool = False

    def values(self) -> tuple[Any, ...] | None:
        """Returns all that it may be, None where a range is continuous."""
        one = self.among
        if isinstance(one, Values):
            return one.values
        if one.step is None and not self.whole:
            return None
        step = Decimal(str(one.step or 1))
        last = int((Decimal(str(one.high)) - Decimal(str(one.low))) / step)
        numbers = (Decimal(str(one.low)) + step * k for k in range(last + 1))
        return tuple(int(number) if self.whole else float(number) for number in numbers)

    def nearest(self, value: float) -> Any:
        """Returns the value of a range that is told for a number in it.

        Continuous ranges keep four digits: a recipe that people read loses nothing by it.
        """
        steps = self.values()
        if steps is not None:
            return min(steps, key=lambda one: abs(one - value))
        among = cast("Range", self.among)
        return float(min(max(float(f"{value:.{_DIGITS}g}"), among.low), among.high))


@dataclass(frozen=True)
class Space:
    """All that varies in one row.

    Attributes:
        row: With its present options.
        parameters: What varies, in the order of the file.
    """

    row: Row
    parameters: tuple[Parameter, ...]

    @property
    def present(self) -> dict[str, Any]:
        """What the row has without a search, by path."""
        return {one.path: one.present for one in self.parameters}

    @property
    def size(self) -> int | None:
        """Number of combinations, None where a range is continuous."""
        lists = [one.values() for one in self.parameters]
        if any(one is None for one in lists):
            return None
        return reduce(lambda total, one: total * len(one or ()), lists, 1)

    def grid(self) -> Iterator[dict[str, Any]]:
        """Yields every combination; only where `size` is not None."""
        paths = [one.path for one in self.parameters]
        for values in itertools.product(*(one.values() or () for one in self.parameters)):
            yield dict(zip(paths, values, strict=True))

    def row_with(self, options: Mapping[str, Any]) -> Row:
        """Returns the row with other values of some options.

        Args:
            options: By path.
        """
        own = model_class(self.row.model).model_fields
        changed: dict[str, Options] = {"set": self.row.set, "train": self.row.train}
        for path, value in options.items():
            part = "set" if path.partition(".")[0] in own else "train"
            changed[part] = _put(changed[part], path.split("."), value)
        return self.row.model_copy(update=changed)


def read_space(row: Row, given: object, recipe: Recipe) -> Space:
    """Returns the space that a row's ``search`` describes; every value is tried on the row.

    Args:
        row: With its present options.
        given: As in the file: path of an option -> ``values``, or ``low`` and ``high``.
        recipe: Which the row is part of.

    Raises:
        ConfigError: An option is unknown (the nearest right name is given), may not vary, or
            takes none of the values; or a range is none.
    """
    where = f"row '{row.label}'"
    if not isinstance(given, dict) or not given:
        raise ConfigError(
            f"'search' of {where} is {given!r}; a mapping of options was expected.",
            "Write for example 'search: {dim: {values: [32, 64]}}'.",
        )
    searched = cast("dict[str, object]", given)
    _require_paths(row, tuple(map(str, searched)))
    return Space(row, tuple(_parameter(row, *pair, recipe) for pair in searched.items()))


def _require_paths(row: Row, paths: tuple[str, ...]) -> None:
    known = [*model_class(row.model).model_fields, *TrainOptions.model_fields]
    free = [name for name in known if name not in _HELD]
    for path in paths:
        head = path.partition(".")[0]
        if head in _HELD:
            raise ConfigError(
                f"'search' of row '{row.label}' names '{path}', which must be the same in all "
                "trials.",
                "Take it out: trials are told apart by what they learn, not by how it is measured.",
            )
        if head not in free:
            raise ConfigError(
                f"Unknown option '{path}' in 'search' of row '{row.label}' ({row.model}).",
                nearest(head, free),
            )
        for other in paths:
            if other.startswith(f"{path}."):
                raise ConfigError(
                    f"'search' of row '{row.label}' names '{path}' and '{other}', which is a "
                    "part of it.",
                    "Keep one of them.",
                )


def _parameter(row: Row, path: str, given: object, recipe: Recipe) -> Parameter:
    where = f"the search of '{path}' in row '{row.label}'"
    keys = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    if "values" not in keys and not {"low", "high"} <= keys.keys():
        raise ConfigError(
            f"In {where} stands {given!r}; 'values', or 'low' and 'high', were expected.",
            "Write for example {values: [32, 64]} or {low: 0.0001, high: 0.01, log: true}.",
        )
    present = _present(row, path, recipe)
    if "values" in keys:
        return _listed(row, Parameter(path, Values.parse(keys, where), present=present), recipe)
    one = Range.parse(keys, where)
    ends = [one.low, one.high, *([] if one.step is None else [one.step])]
    # YAML does not tell 0 from 0.0 in "low: 0, high: 1", the option's own value does.
    whole = type(present) is int if present is not None else all(type(n) is int for n in ends)
    _require_range(one, whole, where)
    found = Parameter(path, one, whole, present)
    for value in (found.nearest(one.low), found.nearest(one.high)):
        parse_part(recipe, _changed(row, path, value), row.label)
    return Parameter(path, one, whole, present, _holds(found, present))


def _require_range(one: Range, whole: bool, where: str) -> None:
    def refuse(problem: str, fix: str) -> None:
        raise ConfigError(f"In {where}, {problem}.", fix)

    ends = [one.low, one.high] + ([] if one.step is None else [one.step])
    if one.low >= one.high:
        refuse(f"'low' is {one.low} and 'high' is {one.high}", "'low' must be below 'high'.")
    if whole and any(number != int(number) for number in ends):
        refuse("the option takes whole numbers", "Write 'low', 'high' and 'step' without a point.")
    if one.log and (one.low <= 0 or one.step is not None):
        refuse("'log' stands beside a 'low' that is not above 0, or a 'step'", "Leave one out.")
    if one.step is not None:
        steps = (Decimal(str(one.high)) - Decimal(str(one.low))) / Decimal(str(one.step))
        if steps != int(steps):
            refuse(f"steps of {one.step} from {one.low} miss {one.high}", "Choose another 'high'.")


def _listed(row: Row, one: Parameter, recipe: Recipe) -> Parameter:
    """Returns the parameter with the candidate that means what the row says, where there is one."""
    now = _meaning(row, recipe)
    candidates = cast("Values", one.among).values
    stages = {name: stage.set for name, stage in recipe.stages.items()}
    for value in candidates:
        stage_order(stages, references(value), f"the search of '{one.path}'")
    same = [v for v in candidates if _meaning(_changed(row, one.path, v), recipe) == now]
    if not same:
        return one
    return Parameter(one.path, one.among, present=same[0], inside=True)


def _meaning(row: Row, recipe: Recipe) -> list[dict[str, Any]]:
    return [part.model_dump(mode="json") for part in parse_part(recipe, row, row.label)]


def _present(row: Row, path: str, recipe: Recipe) -> Any:
    """Returns the value of an option now, as in a file; None where it has none."""
    for part in _meaning(row, recipe):
        value: Any = part
        for name in path.split("."):
            value = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _holds(one: Parameter, value: Any) -> bool:
    among = cast("Range", one.among)
    if not isinstance(value, int | float) or not among.low <= value <= among.high:
        return False
    steps = one.values()
    return steps is None or any(abs(number - value) < 1e-9 for number in steps)


def _changed(row: Row, path: str, value: Any) -> Row:
    return Space(row, ()).row_with({path: value})


def _put(options: Options, path: list[str], value: Any) -> Options:
    if len(path) == 1:
        return {**options, path[0]: value}
    inner = options.get(path[0])
    nested = cast("Options", inner) if isinstance(inner, dict) else {}
    return {**options, path[0]: _put(nested, path[1:], value)}


def _number(value: Any) -> Any:
    """Returns the number in a string such as "1e-4", which YAML takes for a word."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
