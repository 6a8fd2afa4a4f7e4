"""Multimodal sequential recommendation with vision-language model embedders.

    from vlmrec import Dataset, SASRecContent, fit, evaluate, recommend

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlmrec.core.errors import VlmrecError
    from vlmrec.data.dataset import Dataset
    from vlmrec.models import (
        FPMC,
        BERT4Rec,
        ContentKNN,
        DuoRec,
        GRU4Rec,
        ItemKNN,
        Popularity,
        SASRec,
        SASRecContent,
        VLM2Rec,
    )
    from vlmrec.pipeline.adding import add_items
    from vlmrec.pipeline.aligning import AlignOptions, align
    from vlmrec.pipeline.changing import change_items
    from vlmrec.pipeline.diagnosing import diagnose
    from vlmrec.pipeline.evaluation import evaluate
    from vlmrec.pipeline.exported_onnx import export_onnx
    from vlmrec.pipeline.exported_vectors import export_vectors
    from vlmrec.pipeline.fitting import fit
    from vlmrec.pipeline.hub import pull, push
    from vlmrec.pipeline.new_items import NewItems
    from vlmrec.pipeline.recommending import recommend
    from vlmrec.pipeline.run import Run
    from vlmrec.train.options import TrainOptions
    from vlmrec.vlm.loading import load_vlm
    from vlmrec.vlm.options import TuningOptions, VlmOptions
    from vlmrec.vlm.prompts import SpecialPart, make_prompt

__all__ = [
    "FPMC",
    "AlignOptions",
    "BERT4Rec",
    "ContentKNN",
    "Dataset",
    "DuoRec",
    "GRU4Rec",
    "ItemKNN",
    "NewItems",
    "Popularity",
    "Run",
    "SASRec",
    "SASRecContent",
    "SpecialPart",
    "TrainOptions",
    "TuningOptions",
    "VLM2Rec",
    "VlmOptions",
    "VlmrecError",
    "add_items",
    "align",
    "change_items",
    "diagnose",
    "evaluate",
    "export_onnx",
    "export_vectors",
    "fit",
    "load_vlm",
    "make_prompt",
    "pull",
    "push",
    "recommend",
]

_HOMES = {
    "AlignOptions": "vlmrec.pipeline.aligning",
    "BERT4Rec": "vlmrec.models",
    "ContentKNN": "vlmrec.models",
    "Dataset": "vlmrec.data.dataset",
    "DuoRec": "vlmrec.models",
    "FPMC": "vlmrec.models",
    "GRU4Rec": "vlmrec.models",
    "ItemKNN": "vlmrec.models",
    "NewItems": "vlmrec.pipeline.new_items",
    "Popularity": "vlmrec.models",
    "Run": "vlmrec.pipeline.run",
    "SASRec": "vlmrec.models",
    "SASRecContent": "vlmrec.models",
    "SpecialPart": "vlmrec.vlm.prompts",
    "TrainOptions": "vlmrec.train.options",
    "TuningOptions": "vlmrec.vlm.options",
    "VLM2Rec": "vlmrec.models",
    "VlmOptions": "vlmrec.vlm.options",
    "VlmrecError": "vlmrec.core.errors",
    "add_items": "vlmrec.pipeline.adding",
    "align": "vlmrec.pipeline.aligning",
    "change_items": "vlmrec.pipeline.changing",
    "diagnose": "vlmrec.pipeline.diagnosing",
    "evaluate": "vlmrec.pipeline.evaluation",
    "export_onnx": "vlmrec.pipeline.exported_onnx",
    "export_vectors": "vlmrec.pipeline.exported_vectors",
    "fit": "vlmrec.pipeline.fitting",
    "load_vlm": "vlmrec.vlm.loading",
    "make_prompt": "vlmrec.vlm.prompts",
    "pull": "vlmrec.pipeline.hub",
    "push": "vlmrec.pipeline.hub",
    "recommend": "vlmrec.pipeline.recommending",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vlmrec' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
