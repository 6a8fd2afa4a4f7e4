"""Scores of small two-branch models: with holes, with full knowledge, and out of balance."""

import torch

from vlmrec.objectives import BranchScores


def draw(b=6, c=7, seed=0, holes=True):
    """Returns random scores; with holes, unknown entries are NaN and row 0 has no negatives."""
    random = torch.Generator().manual_seed(seed)
    text, image, cross = torch.randn(3, b, c, generator=random, dtype=torch.float64) * 0.15
    targets = torch.randint(c, (b,), generator=random)
    columns = targets[:, None]
    yes = torch.ones(b, c, dtype=torch.bool)
    allowed, text_known, image_known = yes, yes, yes
    if holes:
        allowed, text_known, image_known = torch.rand(3, b, c, generator=random) < 0.8
        allowed[0] = False
        allowed = allowed.scatter(1, columns, True)
        text_known = text_known.scatter(1, columns, True)
        image_known = image_known.scatter(1, columns, True)
        image_known[1, targets[1]] = False
        text_known[2] = False
    nan = float("nan")
    return BranchScores(
        fused=text + image + 0.2 * cross,
        text=text.masked_fill(~text_known, nan),
        image=image.masked_fill(~image_known, nan),
        targets=targets,
        allowed=allowed,
        text_known=text_known,
        image_known=image_known,
    )


def summed(text, image, targets=None, share=1.0):
    """Returns scores of full knowledge whose fused score is the branches' sum (or share)."""
    yes = torch.ones_like(text, dtype=torch.bool)
    targets = torch.zeros(len(text), dtype=torch.int64) if targets is None else targets
    return BranchScores(share * (text + image), text, image, targets, yes, yes, yes)


def unbalanced(b=4, c=6, seed=3):
    """Returns text and image scores: text knows the target (column 0), the image less so."""
    random = torch.Generator().manual_seed(seed)
    text, image = torch.randn(2, b, c, generator=random, dtype=torch.float64) * 0.05
    text[:, 0] += 0.3
    return text, image
