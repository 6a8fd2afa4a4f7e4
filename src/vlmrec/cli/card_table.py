"""How the command line prints a modality report card."""

import math
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vlmrec.diagnosis.card import Card
from vlmrec.diagnosis.tables import NOTHING_KNOWN, figure, percent
from vlmrec.evaluation.significance import Estimate

_FILE_WIDTH = 140
_METRICS = ("NDCG@10", "Recall@10")


def print_card(card: Card, page: Path) -> None:
    """Prints the views, what follows from them, and the verdict.

    Args:
        card: All figures.
        page: Where the page is.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_FILE_WIDTH)
    console.print(_views(card))
    subject = card.subject
    how = f"{subject.split}, {subject.cases} cases; {card.protocol}; 95 % intervals over users"
    console.print(how, markup=False)
    if len(card.modalities) > 1:
        console.print()
        console.print(_modalities(card))
    for note in card.notes:
        console.print(note, markup=False)
    console.print()
    console.print(f"Verdict: [bold]{escape(card.verdict.line)}[/]", soft_wrap=True)
    console.print(f"{len(card.view_seconds)} views, {card.seconds:.0f} s in all")
    console.print(f"Card: [bold]{escape(str(page))}[/]", soft_wrap=True)


def _views(card: Card) -> Table:
    table = _plain("the model is shown", *_METRICS)
    for name, metrics in card.scores.views.items():
        table.add_row(escape(name), *(figure(metrics[metric]) for metric in _METRICS))
    table.add_row("chance", *(f"{card.scores.chance[metric]:.4f}" for metric in _METRICS))
    return table


def _modalities(card: Card) -> Table:
    scores, names = card.scores, card.modalities
    table = _plain("", *names)
    table.add_row("lost without it", *(percent(scores.drops[name]) for name in names))
    table.add_row("share of the gain", *(percent(scores.shares[name]) for name in names))
    if card.under_training:
        gaps = [card.under_training.get(name) for name in names]
        alone = [NOTHING_KNOWN if gap is None else figure(gap.alone) for gap in gaps]
        table.add_row("trained alone, NDCG@10", *alone)
        lost = [NOTHING_KNOWN if gap is None else percent(gap.loss) for gap in gaps]
        table.add_row("lost in joint training", *lost)
    if card.weak is not None:
        table.add_row("weaker for users", *(percent(card.weak.weak[name]) for name in names))
    served = {group.name: group.share for group in card.complementarity}
    nobody = Estimate(math.nan, math.nan, math.nan)
    table.add_row(
        "only it finds the target", *(percent(served.get(f"{n} only", nobody)) for n in names)
    )
    return table


def _plain(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
