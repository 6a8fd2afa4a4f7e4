"""Metric names as people write them ("ndcg@10", "HR@5") and what they mean."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from vlmrec.core.errors import ConfigError, nearest
from vlmrec.evaluation.metrics.mrr import mrr
from vlmrec.evaluation.metrics.ndcg import ndcg
from vlmrec.evaluation.metrics.recall import recall

RankFunction = Callable[[np.ndarray, int], np.ndarray]

_FUNCTIONS = MappingProxyType[str, RankFunction]({"NDCG": ndcg, "Recall": recall, "MRR": mrr})
_SPELLINGS = MappingProxyType(
    {"ndcg": "NDCG", "recall": "Recall", "hr": "Recall", "hit": "Recall", "mrr": "MRR"}
)


@dataclass(frozen=True)
class RankMetric:
    """A metric of one target's rank, cut at k.

    Attributes:
        kind: "NDCG", "Recall" or "MRR".
        k: The cut.
    """

    kind: str
    k: int

    @property
    def name(self) -> str:
        """The one spelling used in results, such as "NDCG@10"."""
        return f"{self.kind}@{self.k}"

    def per_case(self, ranks: np.ndarray) -> np.ndarray:
        """Returns ``[n] float64`` values of ``[n]`` ranks."""
        return _FUNCTIONS[self.kind](np.asarray(ranks, dtype=np.float64), self.k)

    def at_random(self, n_pool: int) -> float:
        """Returns the metric's mean if the target's place among `n_pool` items were drawn.

        >>> RankMetric("Recall", 10).at_random(1000)
        0.01
        """
        reached = np.arange(1, min(self.k, n_pool) + 1)
        return float(self.per_case(reached).sum() / n_pool)


def parse_metric(name: str) -> RankMetric:
    """Returns the metric that `name` means; upper and lower case are alike.

    HR@k and Hit@k are read as Recall@k, which they equal with one target a case.

    >>> parse_metric("hr@10").name
    'Recall@10'

    Raises:
        ConfigError: The name is unknown, or is not of the form NAME@K.
    """
    match = re.fullmatch(r"\s*([A-Za-z]+)\s*@\s*([0-9]+)\s*", name)
    if match is None or int(match[2]) < 1:
        raise ConfigError(
            f"The metric '{name}' is not of the form NAME@K with K from 1.",
            "Write for example NDCG@10.",
        )
    kind = _SPELLINGS.get(match[1].lower())
    if kind is None:
        raise ConfigError(f"Unknown metric '{name}'.", nearest(match[1].lower(), _SPELLINGS))
    return RankMetric(kind, int(match[2]))


def parse_metrics(names: Iterable[str]) -> tuple[RankMetric, ...]:
    """Returns the metrics in the order given, each once.

    Raises:
        ConfigError: There is none, or a name is unknown.
    """
    metrics = tuple(dict.fromkeys(parse_metric(name) for name in names))
    if not metrics:
        raise ConfigError("No metric was given.", "Name at least one, for example NDCG@10.")
    return metrics
