"""The modality report cards that `vlmrec diagnose` left in the run folders of a table."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlmrec.core.errors import VlmrecError
from vlmrec.core.files import read_json_object
from vlmrec.diagnosis.views import BOTH, only
from vlmrec.evaluation.report import ReportCards, StoredCard
from vlmrec.evaluation.report.tables import NOTHING
from vlmrec.pipeline.compared_row import ComparedRow
from vlmrec.pipeline.compared_runs import full_name
from vlmrec.pipeline.comparison import Comparison

_METRIC = "NDCG@10"
_COLUMNS = (
    "verdict", _METRIC, "text only", "image only", "lost without text", "lost without image",
    "text's share", "image's share",
)  # fmt: skip
_NAMES = ("text", "image")


def stored_cards(
    comparison: Comparison, folder: Path, modalities: Mapping[str, tuple[str, ...]]
) -> ReportCards:
    """Returns the cards that are stored, and the commands that make the others.

    Args:
        comparison: The table.
        folder: Of the run folders.
        modalities: Label of a row -> what its model reads, of models that can be taken apart.
    """
    cards: list[StoredCard] = []
    commands: list[str] = []
    lacking: list[str] = []
    for one in comparison.rows:
        path = _path(one, folder)
        if path is not None:
            try:
                cards.append(_card(full_name(one), read_json_object(path)))
            except (VlmrecError, KeyError, TypeError, ValueError):
                lacking.append(f"The card of {one.row.label} ('{path}') cannot be read.")
        elif one.runs and modalities.get(one.row.label):
            commands.append(f"vlmrec diagnose {_word(folder / next(iter(one.runs.values())))}")
    if commands:
        lacking.append(
            "A card shows a trained model changed items: without their pictures, with the texts of "
            "others. That takes a ranking for each view, so it is not made here."
        )
    return ReportCards(_COLUMNS, tuple(cards), tuple(lacking), tuple(commands))


def _path(one: ComparedRow, folder: Path) -> Path | None:
    """Returns the card of the first seed that has one."""
    paths = (folder / name / "diagnosis" / "card.json" for name in one.runs.values())
    return next((path for path in paths if path.is_file()), None)


def _card(name: str, card: Mapping[str, Any]) -> StoredCard:
    scores, modalities = card["scores"], tuple(card["modalities"])
    views = scores["views"]
    single = {kind: views.get(only(kind, modalities)) for kind in modalities}
    cells = (
        str(card["verdict"]["level"]),
        _figure(views[BOTH]),
        *(_figure(single.get(kind)) for kind in _NAMES),
        *(_percent(scores["drops"].get(kind)) for kind in _NAMES),
        *(_percent(scores["shares"].get(kind)) for kind in _NAMES),
    )
    reason = str(card["verdict"]["reason"])
    return StoredCard(name, reason[:1].upper() + reason[1:], cells)


def _figure(view: Mapping[str, Any] | None) -> str:
    mean = None if view is None else view[_METRIC]["mean"]
    return NOTHING if mean is None else f"{mean:.4f}"


def _percent(estimate: Mapping[str, Any] | None) -> str:
    mean = None if estimate is None else estimate["mean"]
    return NOTHING if mean is None else f"{100 * mean:.0f} %"


def _word(path: Path) -> str:
    """Returns a path as one word of a command line."""
    text = str(path)
    return json.dumps(text) if " " in text else text
