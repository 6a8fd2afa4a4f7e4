"""What a model noted about itself while it was trained, such as which modality learned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Signal:
    """One quantity over training.

    Attributes:
        name: Such as "gradient share image".
        epochs: From 1.
        values: Mean over the steps of each epoch.
    """

    name: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]


def read_signals(lines: Sequence[Mapping[str, Any]]) -> tuple[Signal, ...]:
    """Returns the signals in the records of a run's epochs; none where the model notes none.

    >>> read_signals([{"epoch": 0, "signals": {"gap": 0.25}}, {"epoch": 1}])
    (Signal(name='gap', epochs=(1,), values=(0.25,)),)

    Args:
        lines: One record an epoch, as in metrics.jsonl; numbers by name under "signals".
    """
    points: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in (line.get("signals") or {}).items():
            if isinstance(value, int | float):
                points.setdefault(name, []).append((int(line["epoch"]) + 1, float(value)))
    return tuple(
        Signal(name, *(tuple(column) for column in zip(*found, strict=True)))
        for name, found in points.items()
    )


def signal_groups(signals: Sequence[Signal]) -> dict[str, tuple[Signal, ...]]:
    """Returns signals that belong on one chart: the same quantity of text and of picture.

    >>> list(signal_groups([Signal(n, (1,), (0.5,)) for n in ("gap", "weak text", "weak image")]))
    ['gap', 'weak']
    """
    groups: dict[str, list[Signal]] = {}
    for signal in signals:
        *first, last = signal.name.split()
        name = " ".join(first) if first and last in ("text", "image") else signal.name
        groups.setdefault(name, []).append(signal)
    return {name: tuple(found) for name, found in groups.items()}
