"""What vectors and visual features depend on besides their content: the names of caches."""

import hashlib
import json
from typing import Any

from vlmrec.vlm.checkpoints import tokenizer_sha256, weights_sha256
from vlmrec.vlm.families.base import Family
from vlmrec.vlm.layout import Template
from vlmrec.vlm.options import VlmOptions


def visual_identity(family: Family) -> str:
    """Returns JSON of everything that a family's visual features depend on."""
    digest = hashlib.sha256()
    for part in family.vision:
        digest.update(weights_sha256(part).encode())
    facts = {"tower_sha256": digest.hexdigest(), **family.describe_pictures()}
    return json.dumps(facts, sort_keys=True)


def describe_prompts(
    family: Family, options: VlmOptions, template: Template, max_tokens: int
) -> dict[str, Any]:
    """Returns everything but weights that the vector of a prompt depends on."""
    return {
        "architecture": family.name,
        "tokenizer_sha256": tokenizer_sha256(family.tokenizer),
        "template": [list(template.before), list(template.after)],
        "pooling": options.pooling or family.default_pooling,
        "normalize": options.normalize,
        "max_length": max_tokens,
        "dtype": _dtype(family, options),
        **family.describe_pictures(),
    }


def _dtype(family: Family, options: VlmOptions) -> str:
    if options.dtype == "mixed":
        return options.dtype
    return str(family.word_embeddings.weight.dtype).removeprefix("torch.")
