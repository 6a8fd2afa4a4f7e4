"""Prompts of one training step, the same for the estimate and for the measurement."""

import random

import torch
from PIL import Image

from vlmrec.vlm.outline import feature_width
from vlmrec.vlm.prompts import make_prompt
from vlmrec.vlm.visual_features import VisualFeatures

WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
SHOWN = 5  # items of a history


def step_prompts(model, rows, words, device):
    """Returns histories, items and the features of their pictures."""
    drawn = random.Random(0)
    shape = model.family.prepare(Image.new("RGB", (40, 24))).shape
    size = (model.family.feature_rows(shape), feature_width(model.family))
    seen = {}

    def item(longest):
        key = str(len(seen)).encode()
        values = torch.empty(size, dtype=torch.float16, device=device)
        seen[key] = VisualFeatures(values if device == "meta" else values.normal_(), shape)
        count = drawn.randrange(longest // 2, longest + 1)
        return " ".join(drawn.choice(WORDS) for _ in range(count)), key

    histories = [
        make_prompt(*(part for _ in range(SHOWN) for part in item(words))) for _ in range(rows)
    ]
    items = [make_prompt(*item(words)) for _ in range(rows)]
    return histories, items, seen
