"""One loss a file: a pure function on tensors and a frozen config that calls it.

Losses of next-item models (`AnyObjective`) take queries and keys in scoring space (see
`vlmrec.scoring`) and return a sum with its count, so that the shards of a batch add up exactly.
Terms of two-branch models take `BranchScores` and return one value a row, for the model to weigh
and sum. None holds a model.
"""

from typing import Annotated

from pydantic import Field

from vlmrec.objectives.bce import BinaryCrossEntropy
from vlmrec.objectives.bpr import BayesianPersonalizedRanking
from vlmrec.objectives.branch_scores import BranchScores
from vlmrec.objectives.crtr import Crtr
from vlmrec.objectives.gbce import GeneralizedBinaryCrossEntropy
from vlmrec.objectives.gradient_modulation import GradientModulation
from vlmrec.objectives.info_nce import InfoNce
from vlmrec.objectives.modality_dropout import ModalityDropout
from vlmrec.objectives.sampled_softmax import SampledSoftmax
from vlmrec.objectives.softmax import FullCrossEntropy
from vlmrec.objectives.unimodal_heads import UnimodalHeads
from vlmrec.objectives.wpcl import Wpcl

AnyObjective = Annotated[
    FullCrossEntropy
    | SampledSoftmax
    | GeneralizedBinaryCrossEntropy
    | BinaryCrossEntropy
    | BayesianPersonalizedRanking,
    Field(discriminator="kind"),
]
"""Every loss that a next-item model can be trained with, told apart by ``kind``."""

__all__ = [
    "AnyObjective",
    "BayesianPersonalizedRanking",
    "BinaryCrossEntropy",
    "BranchScores",
    "Crtr",
    "FullCrossEntropy",
    "GeneralizedBinaryCrossEntropy",
    "GradientModulation",
    "InfoNce",
    "ModalityDropout",
    "SampledSoftmax",
    "UnimodalHeads",
    "Wpcl",
]
