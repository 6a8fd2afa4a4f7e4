"""How the command line prints runs, evaluations and recommendations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vlmrec.core.columns import ITEM_ID, RANK, SCORE, TITLE
from vlmrec.evaluation.evaluator import Evaluation
from vlmrec.pipeline.evaluation import SplitEvaluation

_FILE_WIDTH = 140
_SHOWN = ("NDCG@10", "Recall@10", "MRR@10")


def print_run(info: Mapping[str, Any], folder: Path) -> None:
    """Prints the figures in a run's record and where it is."""
    console = _console()
    _print_metrics(console, info, info["metrics"])
    _print_taught(console, info.get("taught", {}))
    facts = info["training"]
    text = f"{facts['parameters']:,} parameters, {facts['wall_seconds']:.0f} s in all"
    if "epochs" in facts:
        best = "never" if facts["best_valid"] is None else f"epoch {facts['best_epoch']}"
        text = f"best {best} of {facts['epochs']}; {text}"
    console.print(f"{text}, peak memory {facts['peak_memory_mib']:.0f} MiB")
    console.print(f"Run folder: [bold]{escape(str(folder))}[/]")


def print_evaluation(info: Mapping[str, Any], measured: SplitEvaluation) -> None:
    """Prints what was measured on a split, anchors and slices included."""
    console = _console()
    _print_metrics(console, info, measured.to_json())
    console.print(str(measured.test), markup=False, soft_wrap=True)


def print_comparison(results: Mapping[str, Evaluation]) -> None:
    """Prints many models on the same cases, the best of each column marked."""
    console = _console()
    best = {m: max(one.metrics[m].mean for one in results.values()) for m in _SHOWN}
    table = Table(box=None, pad_edge=False)
    table.add_column("model")
    for name in _SHOWN:
        table.add_column(name, justify="right")
    for name, one in results.items():
        cells = [
            _cell(vars(one.metrics[m])) + ("*" if one.metrics[m].mean == best[m] else " ")
            for m in _SHOWN
        ]
        table.add_row(escape(name), *cells)
    console.print(table)
    console.print(next(iter(results.values())).protocol, markup=False)


def print_recommendations(table: pl.DataFrame) -> None:
    """Prints one person's list."""
    shown = Table(box=None, pad_edge=False)
    shown.add_column("rank", justify="right")
    shown.add_column(ITEM_ID)
    shown.add_column("score", justify="right")
    shown.add_column("title")
    for row in table.iter_rows(named=True):
        title = escape(row[TITLE] or "")
        shown.add_row(str(row[RANK]), escape(row[ITEM_ID]), f"{row[SCORE]:.3f}", title)
    _console().print(shown)


def _console() -> Console:
    """Returns a console on stdout that never breaks a table where no terminal sets its width."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_FILE_WIDTH)


def _print_metrics(console: Console, info: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    test = metrics["test"]
    table = Table(box=None, pad_edge=False)
    table.add_column("model")
    table.add_column("loss")
    for name in _SHOWN:
        table.add_column(name, justify="right")
    anchors = {name: ("none", one) for name, one in metrics["anchors"].items()}
    rows = {info["model"]: (info["loss"], test), **anchors}
    if "test_among_all" in metrics:
        rows[f"{info['model']}, among all items"] = (info["loss"], metrics["test_among_all"])
    lifted = metrics.get("lifted", {"offset": None})
    if lifted["offset"] is not None:
        rows["  lifted as add-items does"] = (info["loss"], lifted["test_among_all"])
    if "warm_among_all" in metrics:
        rows["  known targets"] = (info["loss"], metrics["warm_among_all"])
    if lifted["offset"] is not None:
        rows["  known targets, new items lifted"] = (info["loss"], lifted["warm_among_all"])
    for name, (loss, one) in rows.items():
        cells = [_cell(one["metrics"].get(metric)) for metric in _SHOWN]
        table.add_row(escape(name), loss, *cells)
    console.print(table)
    n = test["n_resamples"]
    how = f"{info['split']['name']}; {test['protocol']}; 95 % intervals from {n} resamples"
    console.print(how, markup=False)


def _print_taught(console: Console, tasks: Mapping[str, Any]) -> None:
    """Prints the token losses of a model that was taught answers."""
    if not tasks:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("taught")
    columns = list(next(iter(tasks.values()))["token_loss"])
    for heading in ("learned from", "held out", *columns):
        table.add_column(heading, justify="right")
    for one in tasks.values():
        counts = [f"{one[name]:,}" for name in ("learned", "held_out")]
        losses = [
            "" if one["token_loss"][c] is None else f"{one['token_loss'][c]:.3f}" for c in columns
        ]
        table.add_row(escape(one["title"]), *counts, *losses)
    console.print(table)
    console.print("token loss in nats on held-out examples, lower is better", markup=False)


def _cell(value: Mapping[str, float] | None) -> str:
    if value is None:
        return ""
    return f"{value['mean']:.4f} ({value['low']:.4f} to {value['high']:.4f})"
