"""How good a recommender is: ranks, metrics, intervals, slices, and how they are told.

The room bears the name of the front door's verb, and Python keeps one object under one name. So
the module can be called: ``vlmrec.evaluate(run, cases)`` is `vlmrec.pipeline.evaluation.evaluate`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmrec.data.splits import Cases
    from vlmrec.evaluate.evaluation import Evaluation


class _EvaluateRoom(ModuleType):
    def __call__(
        self, run: "object", cases: "Cases", *, filter_seen: bool = False, seed: int = 0
    ) -> "Evaluation":
        """Returns how well a run ranks the targets of `cases` among the whole catalogue."""
        # Looked up when it is called: rooms import downwards only, and the pipeline is above.
        verb = import_module("vlmrec.pipeline.evaluation").evaluate
        return verb(run, cases, filter_seen=filter_seen, seed=seed)


sys.modules[__name__].__class__ = _EvaluateRoom
