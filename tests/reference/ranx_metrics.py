"""A second opinion on metrics: reads scores as JSON on stdin, writes what ranx makes of them.

Run as a program of its own, because ranx compiles for minutes unless NUMBA_DISABLE_JIT is set
before anything imports numba.
"""

import json
import sys

import ranx


def main() -> None:
    """Evaluates one relevant item a user by all metrics asked for."""
    given = json.load(sys.stdin)
    relevant = {f"user{u}": {f"item{i}": 1} for u, i in enumerate(given["targets"])}
    run = {
        f"user{u}": {f"item{i}": score for i, score in enumerate(scores)}
        for u, scores in enumerate(given["scores"])
    }
    values = ranx.evaluate(ranx.Qrels(relevant), ranx.Run(run), given["metrics"])
    json.dump({name: float(value) for name, value in values.items()}, sys.stdout)


if __name__ == "__main__":
    main()
