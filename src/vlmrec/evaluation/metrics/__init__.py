"""Metrics of ranks and of recommended lists: numbers in, numbers out, no data, no model."""

from vlmrec.evaluation.metrics.coverage import coverage, recommendation_counts
from vlmrec.evaluation.metrics.gini import gini
from vlmrec.evaluation.metrics.mrr import mrr
from vlmrec.evaluation.metrics.names import RankMetric, parse_metric, parse_metrics
from vlmrec.evaluation.metrics.ndcg import ndcg
from vlmrec.evaluation.metrics.recall import recall

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
