"""What studies of losses do alike: their options, and what they print of finished runs."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.report import options_parser
from vlmrec.pipeline.branch_losses import PLAIN
from vlmrec.pipeline.branch_study import (
    StudyRow,
    format_differences,
    format_study,
    study_differences,
)


def study_parser(name: str, description: str | None, runs: str) -> argparse.ArgumentParser:
    """Returns a parser that knows --runs, --seeds and --table.

    Args:
        name: Name of the script.
        description: For --help.
        runs: Default folder of the runs.
    """
    parser = options_parser(name, description)
    parser.add_argument("--runs", type=Path, default=Path(runs), help="run folders")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--table", action="store_true", help="train nothing")
    return parser


def show_study(rows: Sequence[StudyRow]) -> dict[str, Any]:
    """Prints the table and the differences case by case, and returns both as JSON values."""
    print(format_study(rows))
    differences = study_differences(rows, PLAIN)
    print(format_differences(differences, PLAIN))
    against = {name: {v: asdict(e) for v, e in one.items()} for name, one in differences.items()}
    return {"rows": [row.to_json() for row in rows], f"against {PLAIN}": against}
