"""Metrics of ranks and of recommended lists: numbers in, numbers out, no data, no model."""

from vlmrec.evaluate.metrics.coverage import coverage, recommendation_counts
from vlmrec.evaluate.metrics.gini import gini
from vlmrec.evaluate.metrics.mrr import mrr
from vlmrec.evaluate.metrics.names import RankMetric, parse_metric, parse_metrics
from vlmrec.evaluate.metrics.ndcg import ndcg
from vlmrec.evaluate.metrics.recall import recall

__all__ = [
    "RankMetric",
    "coverage",
    "gini",
    "mrr",
    "ndcg",
    "parse_metric",
    "parse_metrics",
    "recall",
    "recommendation_counts",
]
