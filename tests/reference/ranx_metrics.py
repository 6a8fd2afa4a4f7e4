"""A second opinion on metrics: reads scores as JSON on stdin, writes what ranx makes of them.

Run as a program of its own, because ranx compiles for minutes unless NUMBA_DISABLE_JIT is set
before anything imports numba.
"""

import json
import sys

import ranx


def metrics(scores: list[list[float]], targets: list[int], names: list[str]) -> list[list[float]]:
    """Returns the values of one relevant item a user, by metric and user."""
    # ranx sorts users by name, so the names must sort as the numbers do.
    users = [f"user{number:09d}" for number in range(len(targets))]
    relevant = {user: {f"item{target}": 1} for user, target in zip(users, targets, strict=True)}
    run = {
        user: {f"item{item}": score for item, score in enumerate(row)}
        for user, row in zip(users, scores, strict=True)
    }
    run, qrels = ranx.Run(run), ranx.Qrels(relevant)
    found = (ranx.evaluate(qrels, run, name, return_mean=False) for name in names)
    return [[float(one) for one in values] for values in found]


if __name__ == "__main__":
    given = json.load(sys.stdin)
    json.dump(
        [metrics(one, given["targets"], given["metrics"]) for one in given["runs"]], sys.stdout
    )
