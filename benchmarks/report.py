"""What all scripts here do alike: options, a table on stdout, a JSON file of results."""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

Row = Mapping[str, Any]


def options_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Returns a parser that knows --quick and --out.

    Args:
        name: Name of the script, which its result file gets as well.
        description: For --help.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="toy sizes, to see that it runs")
    parser.add_argument(
        "--out",
        type=Path,
        help=f"where the JSON goes (default: {RESULTS.name}/{name}.json; with --quick a "
        "temporary folder, so that a toy never replaces a result)",
    )
    return parser


def result_path(name: str, options: argparse.Namespace) -> Path:
    """Returns where the result belongs."""
    if options.out is not None:
        return options.out
    if options.quick:
        return Path(tempfile.gettempdir()) / "vlmrec-benchmarks" / f"{name}.json"
    return RESULTS / f"{name}.json"


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Writes a result and says where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten: {path}", flush=True)


def format_table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Returns the chosen columns as aligned text; a missing value is a dash.

    >>> print(format_table([{"side": "a", "s": 1.5}, {"side": "b"}], ["side", "s"]))
    side     s
    a     1.50
    b        -
    """
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [
        max(len(column), *(len(line[i]) for line in cells)) if cells else len(column)
        for i, column in enumerate(columns)
    ]
    left = [isinstance(rows[0].get(column), str) if rows else False for column in columns]
    lines = [list(columns), *cells]
    return "\n".join(
        "  ".join(
            text.ljust(width) if is_left else text.rjust(width)
            for text, width, is_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
