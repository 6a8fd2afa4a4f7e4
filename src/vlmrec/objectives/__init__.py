"""One loss a file: a pure function on tensors and a frozen config that calls it.

All take queries and keys in scoring space (see `vlmrec.scoring`) and return a sum with its count,
so that the shards of a batch add up exactly. None holds a model.
"""

from typing import Annotated

from pydantic import Field

from vlmrec.objectives.bce import BinaryCrossEntropy
from vlmrec.objectives.sampled_softmax import SampledSoftmax
from vlmrec.objectives.softmax import FullCrossEntropy

AnyObjective = Annotated[
    FullCrossEntropy | SampledSoftmax | BinaryCrossEntropy, Field(discriminator="kind")
]
"""Every loss that a next-item model can be trained with, told apart by ``kind``."""

__all__ = ["AnyObjective", "BinaryCrossEntropy", "FullCrossEntropy", "SampledSoftmax"]
