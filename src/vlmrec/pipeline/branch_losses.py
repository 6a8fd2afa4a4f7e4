"""The losses that VLM2Rec's claim is about, by name: what a study compares."""

from collections.abc import Mapping
from typing import Any

from vlmrec.models.vlm2rec import VLM2Rec
from vlmrec.objectives.crtr import Crtr
from vlmrec.objectives.gradient_modulation import GradientModulation
from vlmrec.objectives.modality_dropout import ModalityDropout
from vlmrec.objectives.unimodal_heads import UnimodalHeads
from vlmrec.objectives.wpcl import Wpcl

PLAIN = "InfoNCE"
TEXT_ALONE, IMAGE_ALONE = "text alone", "image alone"
WEAK_PENALISED = "WPCL"
_NONE = dict.fromkeys(("wpcl", "crtr", "heads", "modality_dropout", "modulation"))


def branch_losses(wpcl: Wpcl | None = None) -> dict[str, dict[str, Any]]:
    """Returns, by name, what each loss changes in a specification with plain InfoNCE.

    Args:
        wpcl: How WPCL is set; None: as it is by default.
    """
    wpcl = wpcl or Wpcl()
    return {
        PLAIN: {},
        WEAK_PENALISED: {"wpcl": wpcl},
        "CRTR": {"crtr": Crtr()},
        "WPCL + CRTR": {"wpcl": wpcl, "crtr": Crtr()},
        "unimodal heads": {"heads": UnimodalHeads()},
        "modality dropout": {"modality_dropout": ModalityDropout()},
        "gradient modulation": {"modulation": GradientModulation()},
    }


def branches_alone() -> dict[str, dict[str, Any]]:
    """Returns the changes that leave a specification one modality."""
    return {TEXT_ALONE: {"inputs": "text"}, IMAGE_ALONE: {"inputs": "image"}}


def with_losses(base: VLM2Rec, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, VLM2Rec]:
    """Returns `base` under each of the changes, every loss that none of them names left out.

    Args:
        base: What all have in common.
        changes: Fields by name of the variant.
    """
    plain = base.model_dump() | _NONE
    return {name: VLM2Rec.model_validate(plain | dict(one)) for name, one in changes.items()}
