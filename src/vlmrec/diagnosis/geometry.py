"""The shape of what each modality becomes: pure functions on item vectors."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.random import Streams
from vlmrec.diagnosis.measuring import Measured
from vlmrec.diagnosis.users import PAIR
from vlmrec.diagnosis.views import only

_RANK_ITEMS = 20_000
_PAIR_ITEMS = 2_000
_ROW_ITEMS = 500


@dataclass(frozen=True)
class Shape:
    """The geometry of one modality's item vectors.

    Attributes:
        n_items: Items that have the modality.
        width: Number of dimensions D.
        effective_rank: How many directions are in use: exp of the entropy of the normalised
            singular values of the centred vectors, 1 to D.
        uniformity: log of the mean of exp(-2 d^2) over pairs at length 1; 0 where all vectors
            point the same way, lower the better they spread (about -4 on a sphere).
        alignment: Mean squared distance of a user's query and the target at length 1, 0 to 4;
            None where queries live in another space.
    """

    n_items: int
    width: int
    effective_rank: float
    uniformity: float
    alignment: float | None


@dataclass(frozen=True)
class Geometry:
    """The geometry of both modalities.

    Attributes:
        shapes: By modality.
        gap: Distance between the mean text and the mean picture vector at length 1, 0 to 2.
        no_gap: Why there is no gap, or empty.
        agreement: Mean Spearman correlation of an item's similarities to other items by text
            and by picture: 1 the same neighbourhoods, 0 unrelated ones.
    """

    shapes: Mapping[str, Shape]
    gap: float | None
    no_gap: str
    agreement: float | None


def geometry(
    results: Mapping[str, Measured], modalities: tuple[str, ...], streams: Streams
) -> Geometry | None:
    """Returns the geometry of the modalities; None where no view has item vectors.

    Args:
        results: Of all views.
        modalities: What the model reads.
        streams: Source of the samples of items.
    """
    views = {name: results[only(name, modalities)].vectors for name in modalities}
    found = {name: one for name, one in views.items() if one is not None}
    if not found:
        return None
    shapes: dict[str, Shape] = {}
    for name, one in found.items():
        vectors = one.items[one.items.any(dim=1)]
        distances = one.distances
        known = distances is not None and np.isfinite(distances).any()
        shapes[name] = Shape(
            n_items=len(vectors),
            width=vectors.shape[1],
            effective_rank=effective_rank(_sample(vectors, _RANK_ITEMS, streams)),
            uniformity=uniformity(_sample(vectors, _PAIR_ITEMS, streams)),
            alignment=float(np.nanmean(distances)) if known and distances is not None else None,
        )
    if len(found) < len(PAIR):
        return Geometry(shapes, None, "one modality is read", None)
    text, image = (found[name].items for name in PAIR)
    gap, no_gap = modality_gap(text, image)
    both = torch.nonzero(text.any(dim=1) & image.any(dim=1)).flatten()
    rows = _sample(both, _ROW_ITEMS, streams)
    return Geometry(shapes, gap, no_gap, neighbourhood_agreement(text[rows], image[rows]))


def effective_rank(vectors: Tensor) -> float:
    """Returns exp of the entropy of the normalised singular values of centred vectors ``[n, D]``.

    Reference: Roy and Vetterli, "The effective rank", 2007.

    >>> round(effective_rank(torch.eye(4) - 0.25), 3)
    3.0
    """
    if len(vectors) < 2:
        return float("nan")
    centred = vectors.double() - vectors.double().mean(dim=0)
    sizes = torch.linalg.svdvals(centred)
    share = sizes / sizes.sum()
    share = share[share > 1e-12]
    return float(torch.exp(-(share * share.log()).sum())) if len(share) else float("nan")


def uniformity(vectors: Tensor) -> float:
    """Returns log of the mean of exp(-2 d^2) over pairs of vectors ``[n, D]`` at length 1.

    Reference: Wang and Isola, arXiv 2005.10242.
    """
    if len(vectors) < 2:
        return float("nan")
    squared = torch.pdist(F.normalize(vectors.double(), dim=-1)).square()
    return float(torch.log(torch.exp(-2 * squared).mean()))


def modality_gap(text: Tensor, image: Tensor) -> tuple[float | None, str]:
    """Returns the distance of the mean vectors ``[n, D]`` at length 1, or None and why.

    Zero rows are items without the modality.
    """
    if text.shape[1] != image.shape[1]:
        return None, f"text has {text.shape[1]} dimensions, image {image.shape[1]}"
    if not bool((text.any(dim=0) & image.any(dim=0)).any()):
        return None, "text and image use different coordinates"
    means = [F.normalize(one[one.any(dim=1)].double(), dim=-1).mean(dim=0) for one in (text, image)]
    return float(torch.linalg.vector_norm(means[0] - means[1])), ""


def neighbourhood_agreement(text: Tensor, image: Tensor) -> float | None:
    """Returns the mean Spearman correlation of items' similarity rows by text and by picture.

    Args:
        text: ``[n, D]`` vectors of n items.
        image: ``[n, D']`` vectors of the same items.

    Returns:
        None where there are fewer than three items or all similarities are equal.
    """
    n = len(text)
    if n < 3:
        return None
    others = ~np.eye(n, dtype=bool)
    ranks: list[np.ndarray] = []
    for vectors in (text, image):
        unit = F.normalize(vectors.double(), dim=-1)
        rows = (unit @ unit.T).numpy()[others].reshape(n, n - 1)
        ranked = rankdata(rows, axis=1)
        ranks.append(ranked - ranked.mean(axis=1, keepdims=True))
    above = (ranks[0] * ranks[1]).sum(axis=1)
    below = np.sqrt((ranks[0] ** 2).sum(axis=1) * (ranks[1] ** 2).sum(axis=1))
    return float((above[below > 0] / below[below > 0]).mean()) if (below > 0).any() else None


def _sample(rows: Tensor, at_most: int, streams: Streams) -> Tensor:
    if len(rows) <= at_most:
        return rows
    chosen = streams.numpy("geometry", at_most).choice(len(rows), size=at_most, replace=False)
    return rows[torch.as_tensor(np.sort(chosen))]
