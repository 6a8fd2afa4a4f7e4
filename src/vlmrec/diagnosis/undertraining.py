"""What joint training costs a modality: its branch alone against its branch in the joint model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlmrec.diagnosis.measuring import NDCG, Measured, Setting
from vlmrec.diagnosis.views import BOTH, only
from vlmrec.evaluation.significance import Estimate


@dataclass(frozen=True)
class Gap:
    """The under-training gap of one modality, in NDCG@10.

    Attributes:
        alone: The same model trained on this modality only.
        branch: The joint model shown this modality only.
        loss: ``U = 1 - branch / alone``: the share of what the modality can give that joint
            training lost; negative where the branch gained.
        gain: NDCG@10 of the whole joint model minus `alone`, user by user.
        clears_chance: The interval of `alone` lies above what a random order scores. Where it
            does not, the modality has nothing to lose and U means nothing.
        run: Folder of the run that was trained alone.
        differs: Options in which that run differs from this one, in words.
    """

    alone: Estimate
    branch: Estimate
    loss: Estimate
    gain: Estimate
    clears_chance: bool
    run: str = ""
    differs: str = ""


@dataclass(frozen=True, eq=False)
class UnderTraining:
    """The gaps of all modalities that were trained alone.

    Attributes:
        gaps: By modality.
        draws: ``[R, M]`` resampled losses, columns in the order of `gaps`; users are shared.
    """

    gaps: Mapping[str, Gap]
    draws: np.ndarray


@dataclass(frozen=True, eq=False)
class Alone:
    """A model trained on one modality, measured on the same cases.

    Attributes:
        measured: What it found.
        run: Its folder.
        differs: Options in which it differs, in words.
    """

    measured: Measured
    run: str = ""
    differs: str = ""


def under_training(
    results: Mapping[str, Measured],
    alone: Mapping[str, Alone],
    modalities: Sequence[str],
    setting: Setting,
) -> UnderTraining | None:
    """Returns the gaps of the modalities in `alone`; None where there is none.

    Args:
        results: Of all views of the joint model.
        alone: Models trained on one modality, by modality.
        modalities: What the joint model reads.
        setting: On what was measured.
    """
    names = [name for name in modalities if name in alone]
    if not names:
        return None
    columns = [results[BOTH].gains]
    for name in names:
        columns += [alone[name].measured.gains, results[only(name, modalities)].gains]
    means = setting.resample(columns, "under-training")
    chance = setting.chance(NDCG, results[BOTH].found.pool_items)
    estimates = means.estimates()
    gaps: dict[str, Gap] = {}
    for i, name in enumerate(names):
        best, branch = estimates[1 + 2 * i : 3 + 2 * i]
        gaps[name] = Gap(
            alone=best,
            branch=branch,
            loss=means.estimate(lambda drawn, i=i: _loss(drawn, i)),
            gain=means.estimate(lambda drawn, i=i: drawn[..., 0] - drawn[..., 1 + 2 * i]),
            clears_chance=best.low > chance,
            run=alone[name].run,
            differs=alone[name].differs,
        )
    draws = np.stack([_loss(means.draws, i) for i in range(len(names))], axis=1)
    return UnderTraining(gaps, draws)


def _loss(drawn: np.ndarray, i: int) -> np.ndarray:
    alone, branch = drawn[..., 1 + 2 * i], drawn[..., 2 + 2 * i]
    return 1 - branch / np.where(alone > 0, alone, np.nan)
