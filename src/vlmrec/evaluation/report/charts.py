"""Where the ink of a chart goes; the template turns it into SVG."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from vlmrec.evaluation.report.contents import LearningCurve

LABEL_GAP = 18
N_COLOURS = 8


@dataclass(frozen=True)
class Frame:
    """The size of a chart and of the margins around its plot, in SVG units.

    Attributes:
        width: Of the whole chart.
        height: Of the whole chart.
        left: Margin for the labels of the vertical axis.
        right: Margin for the names of the lines.
        top: Margin.
        bottom: Margin for the labels of the horizontal axis.
    """

    width: int = 1000
    height: int = 380
    left: int = 56
    right: int = 270
    top: int = 16
    bottom: int = 46

    def x(self, share: float) -> float:
        """Returns where a share 0..1 of the horizontal axis lies."""
        return round(self.left + share * (self.width - self.left - self.right), 1)

    def y(self, share: float) -> float:
        """Returns where a share 0..1 of the vertical axis lies."""
        return round(self.height - self.bottom - share * (self.height - self.top - self.bottom), 1)


WIDE = Frame()
SMALL = Frame(width=520, height=270, right=96)


@dataclass(frozen=True)
class PlottedLine:
    """A curve to draw.

    Attributes:
        name: Its label.
        points: (x, y), x rising; points that are not finite are left out.
        band: (low, high) at each point, or empty.
        colour: Number of its colour, from 1; beyond 8 the colours come again, dashed. 0 takes
            the next one.
        strands: Points of further lines of the same kind, drawn thin behind it.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float], ...] = ()
    colour: int = 0
    strands: tuple[tuple[tuple[float, float], ...], ...] = ()


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
        band: SVG coordinates of the area around the curve, or empty.
        best: SVG coordinates of the highest point.
        end: SVG coordinates of the last point.
        label_y: Where the label stands so that labels do not overlap.
        spoken: The curve in words, for those who do not see it.
        strands: SVG coordinates of the thin lines behind it.
    """

    name: str
    points: str
    colour: int
    dashed: bool
    band: str
    best: tuple[float, float]
    end: tuple[float, float]
    label_y: float
    spoken: str
    strands: tuple[str, ...] = ()


@dataclass(frozen=True)
class LineChart:
    """A chart of lines over one axis."""

    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int


def line_chart(curves: Sequence[LearningCurve]) -> LineChart | None:
    """Returns the chart of learning curves, None where there is nothing to draw."""
    lines = [
        PlottedLine(
            curve.name,
            _points(curve),
            colour=curve.colour,
            strands=tuple(_points(seed) for seed in curve.seeds),
        )
        for curve in curves
    ]
    needed = WIDE.top + WIDE.bottom + LABEL_GAP * len(lines)
    return plot_lines(lines, x_name="epoch", frame=replace(WIDE, height=max(WIDE.height, needed)))


def _points(curve: LearningCurve) -> tuple[tuple[float, float], ...]:
    return tuple(zip(curve.epochs, curve.values, strict=True))


def plot_lines(
    lines: Sequence[PlottedLine], *, x_name: str, frame: Frame = WIDE, percent: bool = False
) -> LineChart | None:
    """Returns the chart of `lines`, None where there is nothing to draw.

    Args:
        lines: What to draw.
        x_name: What the horizontal axis counts, for the spoken form.
        frame: Size and margins.
        percent: The horizontal axis is a share 0..1; otherwise it counts whole things.
    """
    drawn = [(line, points) for line in lines if (points := _finite(line))]
    if not drawn:
        return None
    strands = [spot for line, _ in drawn for strand in line.strands for spot in _known(strand)]
    places = [x for _, points in drawn for x, _, _, _ in points] + [x for x, _ in strands]
    values = [value for _, points in drawn for _, *heights in points for value in heights]
    values += [value for _, value in strands]
    x_ticks = nice_ticks(min(places), max(places), 4 if percent else 7, whole=not percent)
    y_ticks = nice_ticks(min(0.0, *values), max(values), 5)
    x_low = min(places)
    x_high = max(max(places), x_low + (1e-9 if percent else 1))
    y_low, y_high = y_ticks[0], max(y_ticks[-1], y_ticks[0] + 1e-9)

    def spot(x: float, y: float) -> tuple[float, float]:
        return frame.x((x - x_low) / (x_high - x_low)), frame.y((y - y_low) / (y_high - y_low))

    ends = [spot(points[-1][0], points[-1][1])[1] for _, points in drawn]
    labels = spread(ends, LABEL_GAP, frame.top, frame.height - frame.bottom)
    return LineChart(
        tuple(
            _drawn(line, points, spot, labels[number], number, x_name)
            for number, (line, points) in enumerate(drawn)
        ),
        tuple(
            Tick(spot(tick, 0)[0], f"{tick:.0%}" if percent else f"{tick:.0f}")
            for tick in x_ticks
            if x_low <= tick <= x_high
        ),
        tuple(Tick(spot(x_low, tick)[1], f"{tick:.3g}") for tick in y_ticks),
        width=frame.width,
        height=frame.height,
        left=frame.left,
        right=frame.width - frame.right,
        top=frame.top,
        bottom=frame.height - frame.bottom,
    )


def _drawn(
    line: PlottedLine,
    points: Sequence[tuple[float, float, float, float]],
    spot: Callable[[float, float], tuple[float, float]],
    label_y: float,
    number: int,
    x_name: str,
) -> Line:
    best, last = max(points, key=lambda point: point[1]), points[-1]
    around = [spot(x, high) for x, _, _, high in points]
    around += [spot(x, low) for x, _, low, _ in reversed(points)]
    place = (line.colour or number + 1) - 1
    return Line(
        name=line.name,
        points=_joined(spot(x, y) for x, y, _, _ in points),
        colour=place % N_COLOURS + 1,
        dashed=place >= N_COLOURS,
        band=_joined(around) if line.band else "",
        best=spot(best[0], best[1]),
        end=spot(last[0], last[1]),
        label_y=label_y,
        spoken=(
            f"{line.name}: best {best[1]:.4f} at {x_name} {best[0]:g}, "
            f"last {last[1]:.4f} at {x_name} {last[0]:g}"
        ),
        strands=tuple(_joined(spot(x, y) for x, y in _known(one)) for one in line.strands),
    )


def _joined(spots: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in spots)


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


def _finite(line: PlottedLine) -> list[tuple[float, float, float, float]]:
    """Returns (x, y, low, high) of the points that can be drawn."""
    band = line.band or tuple((y, y) for _, y in line.points)
    pairs = zip(line.points, band, strict=True)
    return [(x, y, *ends) for (x, y), ends in pairs if all(map(math.isfinite, (x, y, *ends)))]


def _known(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
