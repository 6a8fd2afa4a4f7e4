"""What happens to the ranking while content goes missing or turns into noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vlmrec.diagnosis.measuring import Measured, Setting
from vlmrec.diagnosis.views import SHARES, missing, noisy
from vlmrec.evaluation.significance import Estimate


@dataclass(frozen=True)
class Curve:
    """NDCG@10 of the whole model while one modality fades.

    Attributes:
        modality: Which.
        kind: "missing": a share of all items has none; "noise": a share of every item's content
            is replaced by noise.
        shares: 0 to 1.
        values: NDCG@10 at each share.
    """

    modality: str
    kind: str
    shares: tuple[float, ...]
    values: tuple[Estimate, ...]


def fading_curves(
    results: Mapping[str, Measured], modalities: Sequence[str], setting: Setting
) -> tuple[Curve, ...]:
    """Returns the curves of every modality; none where their points were not measured.

    Args:
        results: Of all views.
        modalities: What the model reads.
        setting: On what was measured.
    """
    curves: list[Curve] = []
    for name in modalities:
        for kind in ("missing", "noise"):
            views = [
                missing(name, share, modalities) if kind == "missing" else noisy(name, share)
                for share in SHARES
            ]
            if all(view in results for view in views):
                values = tuple(_score(results[view], setting) for view in views)
                curves.append(Curve(name, kind, SHARES, values))
    return tuple(curves)


def _score(measured: Measured, setting: Setting) -> Estimate:
    return setting.resample([measured.gains], "views").estimates()[0]
