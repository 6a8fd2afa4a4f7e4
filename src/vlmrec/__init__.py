"""Multimodal sequential recommendation with vision-language model embedders.

    from vlmrec import Dataset, SASRecContent, fit, evaluate, recommend

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlmrec.core.errors import VlmrecError
    from vlmrec.data.dataset import Dataset
    from vlmrec.models import ItemKNN, Popularity, SASRec, SASRecContent
    from vlmrec.pipeline.adding import add_items
    from vlmrec.pipeline.evaluation import evaluate
    from vlmrec.pipeline.fitting import fit
    from vlmrec.pipeline.recommending import recommend
    from vlmrec.pipeline.run import Run
    from vlmrec.train.options import TrainOptions

__all__ = [
    "Dataset",
    "ItemKNN",
    "Popularity",
    "Run",
    "SASRec",
    "SASRecContent",
    "TrainOptions",
    "VlmrecError",
    "add_items",
    "evaluate",
    "fit",
    "recommend",
]

_HOMES = {
    "Dataset": "vlmrec.data.dataset",
    "ItemKNN": "vlmrec.models",
    "Popularity": "vlmrec.models",
    "Run": "vlmrec.pipeline.run",
    "SASRec": "vlmrec.models",
    "SASRecContent": "vlmrec.models",
    "TrainOptions": "vlmrec.train.options",
    "VlmrecError": "vlmrec.core.errors",
    "add_items": "vlmrec.pipeline.adding",
    "evaluate": "vlmrec.pipeline.evaluation",
    "fit": "vlmrec.pipeline.fitting",
    "recommend": "vlmrec.pipeline.recommending",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vlmrec' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
