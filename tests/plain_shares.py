"""What a list says without words or pictures, found by scoring whole catalogues again."""

import torch

from vlmrec.core.content_change import ContentChange
from vlmrec.pipeline.placing import Placing
from vlmrec.pipeline.viewing import View
from vlmrec.serve.views import is_frozen

ABSENCES = ((), ("image",), ("text",), ("image", "text"))
"""Whole, words alone, pictures alone, neither."""


def plain_ranker(run, absent):
    """Returns a ranker of all items in which none shows what is absent; nothing is kept of it."""
    if not absent:
        return run.ranker()
    if is_frozen(run):
        table = View(run, absent).table(run, Placing())
        return run.lifted(run.model.ranker(table))
    gone = ContentChange.absent(run.items.height)
    vars(run.model).get("_memory", {}).clear()
    return run.lifted(run.model.ranker_with(dict.fromkeys(absent, gone)))


def plain_scores(run, history, row):
    """Returns the scores of an item after a history ``[T]``, by what is absent."""
    rankers = [plain_ranker(run, absent) for absent in ABSENCES]
    asked = torch.as_tensor(history)[None]
    return [float(one.score(one.encode(asked), row, row + 1)) for one in rankers]
