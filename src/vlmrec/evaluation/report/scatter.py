"""A metric against what it costs: points on a logarithmic axis of time, names that do not collide.

A name stands beside its point where there is room. Names that find none stand in a column at the
right, tied to their points by thin lines.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vlmrec.evaluation.report.charts import (
    LABEL_GAP,
    N_COLOURS,
    WIDE,
    Frame,
    Tick,
    nice_ticks,
    spread,
)
from vlmrec.evaluation.report.table_contents import CostPoint

LONGEST_NAME = 30
_LETTER = 8.8
"""Width of a letter of a name in SVG units, generously."""
_TALL = 16.0
"""Height of a line of text."""
_DOT = 6.0
_TIMES = (
    (0.001, "1 ms"), (0.01, "10 ms"), (0.1, "0.1 s"), (1, "1 s"), (10, "10 s"), (60, "1 min"),
    (600, "10 min"), (3600, "1 h"), (36_000, "10 h"), (360_000, "100 h"), (3_600_000, "1,000 h"),
    (36_000_000, "10,000 h"),
)  # fmt: skip

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Point:
    """A point with its name.

    Attributes:
        name: As it is shown.
        x: Of the point.
        y: Of the point.
        label_x: Where the name begins or ends.
        label_y: Its middle.
        anchor: SVG's word for which end of the name lies there.
        tied: Whether a line leads from the point to the name.
        colour: Number of the colour, 1..8.
        hollow: Whether the point is a ring (the colours have been used once already).
    """

    name: str
    x: float
    y: float
    label_x: float
    label_y: float
    anchor: str
    tied: bool
    colour: int
    hollow: bool


@dataclass(frozen=True)
class Scatter:
    """A chart of points.

    Attributes:
        points: With their names.
        x_ticks: On the axis of time.
        y_ticks: On the axis of the metric.
        frame: Size and margins.
        spoken: The points in words.
    """

    points: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    frame: Frame
    spoken: str


@dataclass(frozen=True)
class _Label:
    x: float
    y: float
    anchor: str
    tied: bool = False


def cost_chart(points: Sequence[CostPoint]) -> Scatter | None:
    """Returns the chart, None where there is nothing to draw.

    Args:
        points: What is not finite, or took no time at all, is left out.
    """
    known = [one for one in points if math.isfinite(one.value) and 0 < one.seconds < math.inf]
    if not known:
        return None
    needed = WIDE.top + WIDE.bottom + LABEL_GAP * len(known)
    frame = replace(WIDE, height=max(WIDE.height, needed))
    x_ticks = _times(min(one.seconds for one in known), max(one.seconds for one in known))
    left, right = math.log(x_ticks[0][0]), math.log(x_ticks[-1][0])
    y_ticks = nice_ticks(min(one.value for one in known), max(one.value for one in known), 5)
    low, high = y_ticks[0], y_ticks[-1]

    def x(seconds: float) -> float:
        return frame.x(min(max((math.log(seconds) - left) / (right - left), 0.0), 1.0))

    def y(value: float) -> float:
        return frame.y((value - low) / (high - low))

    spots = [(x(one.seconds), y(one.value)) for one in known]
    names = [shortened(one.name) for one in known]
    labels = _labels(spots, names, frame)
    return Scatter(
        points=tuple(
            Point(
                name,
                *spot,
                label.x,
                label.y,
                label.anchor,
                label.tied,
                (one.colour - 1) % N_COLOURS + 1,
                one.colour > N_COLOURS,
            )
            for one, name, spot, label in zip(known, names, spots, labels, strict=True)
        ),
        x_ticks=tuple(Tick(x(seconds), text) for seconds, text in x_ticks),
        y_ticks=tuple(Tick(y(tick), f"{tick:.3g}") for tick in y_ticks),
        frame=frame,
        spoken=". ".join(f"{one.name}: {one.value:.4f} in {one.seconds:,.3g} s" for one in known),
    )


def shortened(name: str) -> str:
    """Returns a name that is no longer than charts can show.

    >>> shortened("SASRec"), shortened("A row with a name that goes on and on")
    ('SASRec', 'A row with a name that goes o…')
    """
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1].rstrip() + "…"


def _times(low: float, high: float) -> list[tuple[float, str]]:
    """Returns marks of the axis of time that span low..high."""
    first = max((i for i, (mark, _) in enumerate(_TIMES) if mark <= low), default=0)
    last = min((i for i, (mark, _) in enumerate(_TIMES) if mark >= high), default=len(_TIMES) - 1)
    last = max(last, first + 1)
    return list(_TIMES[min(first, last - 1) : last + 1])


def _labels(
    spots: Sequence[tuple[float, float]], names: Sequence[str], frame: Frame
) -> list[_Label]:
    taken = [(x - _DOT, y - _DOT, x + _DOT, y + _DOT) for x, y in spots]
    found: dict[int, _Label] = {}
    for i in sorted(range(len(spots)), key=lambda i: spots[i]):
        label = _beside(spots[i], names[i], taken, frame)
        if label is not None:
            found[i] = label
            taken.append(_box(label, names[i]))
    rest = [i for i in range(len(spots)) if i not in found]
    column = frame.width - frame.right + 18.0
    places = spread([spots[i][1] for i in rest], LABEL_GAP, frame.top, frame.height - frame.bottom)
    for i, place in zip(rest, places, strict=True):
        found[i] = _Label(column, place, "start", tied=True)
    return [found[i] for i in range(len(spots))]


def _beside(
    spot: tuple[float, float], name: str, taken: Sequence[Box], frame: Frame
) -> _Label | None:
    """Returns a free place for the name next to its point, None where there is none."""
    x, y = spot
    near, row = _DOT + 4, _DOT + _TALL / 2
    places = (
        _Label(x + near, y, "start"),
        _Label(x - near, y, "end"),
        _Label(x, y - row, "middle"),
        _Label(x, y + row, "middle"),
    )
    for label in places:
        left, top, right, bottom = box = _box(label, name)
        inside = (
            left >= frame.left
            and right <= frame.width - frame.right
            and top >= frame.top
            and bottom <= frame.height - frame.bottom
        )
        if inside and not any(_meet(box, other) for other in taken):
            return label
    return None


def _box(label: _Label, name: str) -> Box:
    width = _LETTER * len(name)
    left = label.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor] * width
    return left, label.y - _TALL / 2, left + width, label.y + _TALL / 2


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
