"""Where the ink of a chart goes; the template turns it into SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vlmrec.evaluation.report.contents import LearningCurve

WIDTH, HEIGHT = 1000, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 270, 16, 46
LABEL_GAP = 18
N_COLOURS = 8


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its place in SVG units and its label."""

    place: float
    label: str


@dataclass(frozen=True)
class Line:
    """One curve of a chart.

    Attributes:
        name: Its label.
        points: SVG coordinates, "x,y x,y ...".
        colour: Number of the colour, 1..8.
        dashed: Whether the line is dashed (the colours have been used once already).
        best: SVG coordinates of the highest point.
        end: SVG coordinates of the last point.
        label_y: Where the label stands so that labels do not overlap.
        spoken: The curve in words, for those who do not see it.
    """

    name: str
    points: str
    colour: int
    dashed: bool
    best: tuple[float, float]
    end: tuple[float, float]
    label_y: float
    spoken: str


@dataclass(frozen=True)
class LineChart:
    """A chart of learning curves."""

    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def line_chart(curves: Sequence[LearningCurve]) -> LineChart | None:
    """Returns the chart of `curves`, None where there is nothing to draw.

    Points that are not finite are left out.
    """
    drawn = [(curve.name, points) for curve in curves if (points := _finite(curve))]
    if not drawn:
        return None
    epochs = [epoch for _, points in drawn for epoch, _ in points]
    values = [value for _, points in drawn for _, value in points]
    x_ticks = nice_ticks(min(epochs), max(epochs), 7, whole=True)
    y_ticks = nice_ticks(min(0.0, *values), max(values), 5)
    x_low, x_high = min(epochs), max(max(epochs), min(epochs) + 1)
    y_low, y_high = y_ticks[0], max(y_ticks[-1], y_ticks[0] + 1e-9)

    def x(epoch: float) -> float:
        return round(LEFT + (epoch - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        share = (value - y_low) / (y_high - y_low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    labels = spread([y(points[-1][1]) for _, points in drawn], LABEL_GAP, TOP, HEIGHT - BOTTOM)
    lines: list[Line] = []
    for number, (name, points) in enumerate(drawn):
        best = max(points, key=lambda point: point[1])
        last = points[-1]
        lines.append(
            Line(
                name=name,
                points=" ".join(f"{x(epoch)},{y(value)}" for epoch, value in points),
                colour=number % N_COLOURS + 1,
                dashed=number >= N_COLOURS,
                best=(x(best[0]), y(best[1])),
                end=(x(last[0]), y(last[1])),
                label_y=labels[number],
                spoken=f"{name}: best {best[1]:.4f} at epoch {best[0]}, {last[0]} epochs",
            )
        )
    shown = [tick for tick in x_ticks if x_low <= tick <= x_high]
    return LineChart(
        tuple(lines),
        tuple(Tick(x(tick), f"{tick:.0f}") for tick in shown),
        tuple(Tick(y(tick), f"{tick:.3g}") for tick in y_ticks),
    )


def nice_ticks(low: float, high: float, about: int, *, whole: bool = False) -> list[float]:
    """Returns round numbers that span low..high.

    Args:
        low: Smallest value to cover.
        high: Largest value to cover.
        about: How many ticks to aim at.
        whole: Whole numbers only.

    >>> nice_ticks(0, 0.093, 5)
    [0.0, 0.02, 0.04, 0.06, 0.08, 0.1]
    >>> nice_ticks(1, 14, 7, whole=True)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]
    """
    span = high - low if high > low else max(abs(high), 1e-3)
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if raw <= factor * power * 1.0001)
    if whole:
        step = max(1.0, float(round(step)))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Returns places near `wanted`, in the same order, at least `gap` apart where they fit.

    >>> spread([10, 12, 50], 10, 0, 60)
    [10, 20, 50]
    >>> spread([58, 59], 10, 0, 60)
    [50, 60]
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    places = dict.fromkeys(order, 0.0)
    floor = low
    for index in order:
        places[index] = max(wanted[index], floor)
        floor = places[index] + gap
    ceiling = high
    for index in reversed(order):
        places[index] = min(places[index], ceiling)
        ceiling = places[index] - gap
    return [places[index] for index in range(len(wanted))]


def _finite(curve: LearningCurve) -> list[tuple[int, float]]:
    pairs = zip(curve.epochs, curve.values, strict=True)
    return [(epoch, value) for epoch, value in pairs if math.isfinite(value)]
