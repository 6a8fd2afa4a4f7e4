"""Which modality is the weak one for whom, and whom each of them serves."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vlmrec.diagnosis.measuring import TOP, Measured, Setting
from vlmrec.diagnosis.views import BOTH, only
from vlmrec.evaluation.significance import Estimate

N_BINS = 24
PAIR = ("text", "image")


@dataclass(frozen=True)
class WeakShare:
    """Who is weak for how many cases.

    The margin of a modality is the number of standard deviations by which the target's score
    lies above the mean of all other candidates, when items have that modality only.

    Attributes:
        weak: Modality -> share of the cases in which its margin is the lower one.
        equal: Share of the cases in which the margins are equal.
        mean_margin: Modality -> mean margin.
        n_cases: Cases whose target has both modalities; the others are left out.
        n_without: Cases that were left out.
        edges: Of the bins of the histogram of text margin minus picture margin; the outermost
            bins also hold what lies beyond.
        counts: Cases in each bin.
    """

    weak: Mapping[str, Estimate]
    equal: float
    mean_margin: Mapping[str, float]
    n_cases: int
    n_without: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class HitGroup:
    """Cases that are hit (target among the first 10) by the same modalities.

    Attributes:
        name: "text only", "image only", "each of both" or "neither".
        share: Of all cases.
        n_cases: How many.
        fused: Share of these cases that the whole model hits; NaN where there is none.
    """

    name: str
    share: Estimate
    n_cases: int
    fused: float


def weak_share(results: Mapping[str, Measured], setting: Setting) -> WeakShare | None:
    """Returns which modality is weak for whom; None where a view has no margins.

    Args:
        results: Of all views of a model that reads text and pictures.
        setting: On what was measured.
    """
    found = {name: results[only(name, PAIR)].vectors for name in PAIR}
    margins = {name: one.margins for name, one in found.items() if one is not None}
    if len(margins) < len(PAIR):
        return None
    difference = margins["text"] - margins["image"]
    known = np.isfinite(difference)
    if not known.any():
        return None
    lower = [(difference < 0).astype(float), (difference > 0).astype(float)]
    means = setting.resample(lower, "weak modality", known)
    edges = _edges(difference[known])
    inside = np.clip(difference[known], edges[0], edges[-1])
    return WeakShare(
        weak=dict(zip(PAIR, means.estimates(), strict=True)),
        equal=float((difference[known] == 0).mean()),
        mean_margin={name: float(values[known].mean()) for name, values in margins.items()},
        n_cases=int(known.sum()),
        n_without=int((~known).sum()),
        edges=tuple(float(edge) for edge in edges),
        counts=tuple(int(n) for n in np.histogram(inside, edges)[0]),
    )


def complementarity(results: Mapping[str, Measured], setting: Setting) -> tuple[HitGroup, ...]:
    """Returns the cases by which modality alone hits them, and what the whole model does there.

    Args:
        results: Of all views of a model that reads text and pictures.
        setting: On what was measured.
    """
    text, image = (results[only(name, PAIR)].hits for name in PAIR)
    groups = {
        "text only": text & ~image,
        "image only": image & ~text,
        "each of both": text & image,
        "neither": ~text & ~image,
    }
    columns = [mask.astype(float) for mask in groups.values()]
    shares = setting.resample(columns, "complementarity").estimates()
    fused = results[BOTH].hits
    return tuple(
        HitGroup(
            name,
            share,
            int(mask.sum()),
            float(fused[mask].mean()) if mask.any() else float("nan"),
        )
        for (name, mask), share in zip(groups.items(), shares, strict=True)
    )


def list_overlap(results: Mapping[str, Measured]) -> float:
    """Returns the mean Jaccard overlap of the two modalities' lists of 10.

    Args:
        results: Of all views of a model that reads text and pictures.
    """
    text, image = (results[only(name, PAIR)].found.top_items for name in PAIR)
    shared = ((text[:, :, None] == image[:, None, :]) & (text[:, :, None] > 0)).sum(axis=(1, 2))
    union = (text > 0).sum(axis=1) + (image > 0).sum(axis=1) - shared
    return float((shared / np.maximum(union, 1)).mean())


def chance_overlap(n_pool: int) -> float:
    """Returns about what two random lists of 10 among `n_pool` items overlap (Jaccard).

    >>> round(chance_overlap(1000), 4)
    0.005
    """
    k = min(TOP, n_pool)
    shared = k * k / n_pool
    return shared / (2 * k - shared)


def _edges(difference: np.ndarray) -> np.ndarray:
    """Returns bin edges around 0 that leave out at most one case in a hundred on each side."""
    reach = float(np.abs(np.quantile(difference, [0.01, 0.99])).max())
    return np.linspace(-1.0, 1.0, N_BINS + 1) * (reach if reach > 0 else 1.0)
