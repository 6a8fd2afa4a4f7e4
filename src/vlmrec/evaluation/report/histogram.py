"""Where the ink of a histogram around zero goes; the template turns it into SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from vlmrec.evaluation.report.charts import Frame, Tick, nice_ticks


@dataclass(frozen=True)
class Column:
    """One bin: a rectangle in SVG units, and the colour of its side."""

    x: float
    y: float
    width: float
    height: float
    colour: int


@dataclass(frozen=True)
class Histogram:
    """A histogram of a difference; its two sides have colours of their own.

    Attributes:
        columns: The bins.
        x_ticks: On the horizontal axis.
        y_ticks: On the vertical axis.
        zero: Where 0 lies.
        frame: Size and margins.
        spoken: The histogram in words.
    """

    columns: tuple[Column, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero: float
    frame: Frame
    spoken: str


BROAD = Frame(width=1000, height=260, right=24, top=34)


def histogram(
    edges: Sequence[float],
    counts: Sequence[int],
    *,
    colours: tuple[int, int],
    frame: Frame = BROAD,
) -> Histogram:
    """Returns the histogram of ``counts [n]`` in bins between ``edges [n + 1]``.

    Args:
        edges: Rising, from below 0 to above 0.
        counts: Cases in each bin.
        colours: Numbers of the colours below and above 0.
        frame: Size and margins.
    """
    low, high = edges[0], edges[-1]
    y_ticks = nice_ticks(0, max(*counts, 1), 4, whole=True)
    top = y_ticks[-1]

    def x(value: float) -> float:
        return frame.x((value - low) / (high - low))

    columns: list[Column] = []
    for left, right, count in zip(edges, edges[1:], counts, strict=False):
        y = frame.y(count / top)
        colour = colours[0] if left + right < 0 else colours[1]
        columns.append(
            Column(x(left), y, round(x(right) - x(left) - 1, 1), round(frame.y(0) - y, 1), colour)
        )
    below = sum(n for edge, n in zip(edges[1:], counts, strict=True) if edge <= 1e-12)
    return Histogram(
        tuple(columns),
        tuple(
            Tick(x(tick), f"{tick:g}") for tick in nice_ticks(low, high, 8) if low <= tick <= high
        ),
        tuple(Tick(frame.y(tick / top), f"{tick:g}") for tick in y_ticks),
        x(0.0),
        frame,
        f"{below} cases below 0, {sum(counts) - below} above, from {low:.2f} to {high:.2f}",
    )
