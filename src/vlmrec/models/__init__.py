"""One paper a file; the table below is where a new model adds its line."""

from vlmrec.core.errors import ConfigError, nearest
from vlmrec.models.bert4rec import BERT4Rec
from vlmrec.models.collm import CoLLM
from vlmrec.models.content_knn import ContentKNN
from vlmrec.models.duorec import DuoRec
from vlmrec.models.ensemble import Ensemble
from vlmrec.models.fpmc import FPMC
from vlmrec.models.gru4rec import GRU4Rec
from vlmrec.models.hllm import HLLM
from vlmrec.models.item_knn import ItemKNN
from vlmrec.models.mirm import Mirm
from vlmrec.models.molar import Molar
from vlmrec.models.popularity import Popularity
from vlmrec.models.sasrec import SASRec
from vlmrec.models.sasrec_content import SASRecContent
from vlmrec.models.spec import ModelSpec
from vlmrec.models.vlm2rec import VLM2Rec

MODELS: dict[str, type[ModelSpec]] = {
    spec.name: spec
    for spec in (
        Popularity,
        ItemKNN,
        ContentKNN,
        FPMC,
        GRU4Rec,
        SASRec,
        BERT4Rec,
        DuoRec,
        SASRecContent,
        Mirm,
        Molar,
        HLLM,
        Ensemble,
        CoLLM,
        VLM2Rec,
    )
}


def model_class(name: str) -> type[ModelSpec]:
    """Returns the specification class of a model's name.

    Raises:
        ConfigError: There is no such model; the nearest name is given.
    """
    if name not in MODELS:
        raise ConfigError(f"Unknown model '{name}'.", nearest(name, MODELS))
    return MODELS[name]


__all__ = [
    "FPMC",
    "HLLM",
    "MODELS",
    "BERT4Rec",
    "CoLLM",
    "ContentKNN",
    "DuoRec",
    "Ensemble",
    "GRU4Rec",
    "ItemKNN",
    "Mirm",
    "ModelSpec",
    "Molar",
    "Popularity",
    "SASRec",
    "SASRecContent",
    "VLM2Rec",
    "model_class",
]
