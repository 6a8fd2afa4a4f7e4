"""From branches to a loss: VLM2Rec's terms, and the baselines that they are compared with."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vlmrec.models.branches import Branches, mean_of_cosines
from vlmrec.objectives.branch_facts import branch_facts
from vlmrec.objectives.branch_scores import BranchScores, at_target, candidate_mask
from vlmrec.objectives.crtr import crtr_item_rows, crtr_rows
from vlmrec.objectives.gradient_modulation import scale_gradient
from vlmrec.objectives.info_nce import InfoNce, info_nce_rows, without_likely_positives
from vlmrec.objectives.modality_margins import modality_margins
from vlmrec.objectives.wpcl import wpcl_rows

if TYPE_CHECKING:
    from vlmrec.models.vlm2rec import VLM2Rec


def single_rows(
    queries: Branches,
    keys: Branches,
    candidates: Tensor,
    targets: Tensor,
    histories: Tensor,
    loss: InfoNce,
) -> Tensor:
    """Returns InfoNCE of a model with one branch ``[B]``.

    Args:
        queries: Of B histories.
        keys: Of C candidates.
        candidates: ``[C] int64`` their item ids.
        targets: ``[B] int64`` columns.
        histories: ``[B, T] int64`` item ids.
        loss: Its options.
    """
    scores = queries.fused() @ keys.fused().T
    allowed = _allowed(queries, keys, candidates, targets, histories)
    if loss.mask_margin is not None:
        allowed = without_likely_positives(scores, targets, allowed, loss.mask_margin)
    return info_nce_rows(scores, targets, allowed, loss.temperature)


def branch_scores(
    spec: "VLM2Rec",
    queries: Branches,
    keys: Branches,
    candidates: Tensor,
    targets: Tensor,
    histories: Tensor,
) -> BranchScores:
    """Returns the scores of histories against candidates by sum and by branch.

    Args:
        spec: Which fused score.
        queries: Branches ("text", "image") of B histories.
        keys: Of C candidates.
        candidates: ``[C] int64`` their item ids.
        targets: ``[B] int64`` columns.
        histories: ``[B, T] int64`` item ids.
    """
    allowed = _allowed(queries, keys, candidates, targets, histories)
    asked, told = queries.known(), keys.known()
    scores = _scores(spec, queries, keys, targets, allowed, asked, told)
    if spec.modulation is None:
        return scores
    with torch.no_grad():
        factors = spec.modulation(scores, spec.info_nce.temperature)
    slowed = [_modulated(side, factors) for side in (queries, keys)]
    return _scores(spec, slowed[0], slowed[1], targets, allowed, asked, told)


def loss_rows(
    spec: "VLM2Rec",
    scores: BranchScores,
    keys: Branches,
    candidates: Tensor,
    progress: float,
    draws: Tensor | None,
) -> Tensor:
    """Returns the loss of every row ``[B]``.

    Args:
        spec: Which terms.
        scores: Of B histories against C candidates.
        keys: Branches of the candidates.
        candidates: ``[C] int64`` their item ids.
        progress: Share of the planned training that is over.
        draws: ``[B]`` uniform numbers for modality dropout; None outside training.
    """
    temperature, limit = spec.info_nce.temperature, spec.info_nce.mask_margin
    if limit is not None:
        allowed = without_likely_positives(scores.fused, scores.targets, scores.allowed, limit)
        scores = replace(scores, allowed=allowed)
    if spec.modality_dropout is not None and draws is not None:
        scores = _with_dropped(spec, scores, draws)
    if spec.wpcl is None:
        rows = info_nce_rows(scores.fused, scores.targets, scores.allowed, temperature)
    else:
        penalized = wpcl_rows(scores, temperature, spec.wpcl, progress)
        rows = penalized.loss
    if spec.heads is not None:
        rows = rows + spec.heads(scores, temperature)
    if spec.crtr is not None:
        rows = rows + spec.crtr.weight * _topology(spec, scores, keys, candidates)
    return rows


def figures(spec: "VLM2Rec", scores: BranchScores) -> tuple[dict[str, Tensor], Tensor]:
    """Returns what a step does to its modalities, by name, and how many rows tell it.

    Args:
        spec: Whose temperature.
        scores: Of B histories against C candidates.
    """
    facts = branch_facts(scores, spec.info_nce.temperature)
    told = {
        "starvation text": facts.text_starvation,
        "starvation image": facts.image_starvation,
        "weak image": facts.weak_image,
        "gap": facts.gap,
        "margin text": facts.text_margin,
        "margin image": facts.image_margin,
        "cross term": _cross_term(scores),
    }
    return told, facts.rows


def _scores(
    spec: "VLM2Rec",
    queries: Branches,
    keys: Branches,
    targets: Tensor,
    allowed: Tensor,
    asked: Tensor,
    told: Tensor,
) -> BranchScores:
    by_sum = spec.scoring == "sum"
    fused = mean_of_cosines(queries, keys) if by_sum else queries.fused() @ keys.fused().T
    return BranchScores(
        fused=fused,
        text=queries.part("text") @ keys.part("text").T,
        image=queries.part("image") @ keys.part("image").T,
        targets=targets,
        allowed=allowed,
        text_known=asked[:, :1] & told[:, 0],
        image_known=asked[:, 1:] & told[:, 1],
    )


def _allowed(
    queries: Branches, keys: Branches, candidates: Tensor, targets: Tensor, histories: Tensor
) -> Tensor:
    """Returns ``[B, C] bool``; rows without anything to read are compared with nothing."""
    mask = candidate_mask(candidates, targets, histories)
    readable = keys.known().any(dim=1)
    rows = queries.known().any(dim=1) & readable[targets]
    return mask & readable & rows.unsqueeze(1)


def _modulated(side: Branches, factors: tuple[Tensor, Tensor]) -> Branches:
    slowed = [
        scale_gradient(side.vectors[:, place], factor) for place, factor in enumerate(factors)
    ]
    return Branches(side.names, torch.stack(slowed, dim=1))


def _with_dropped(spec: "VLM2Rec", scores: BranchScores, draws: Tensor) -> BranchScores:
    """Returns scores in which some rows are told by the modality that they keep."""
    assert spec.modality_dropout is not None  # noqa: S101 - by the caller
    both = at_target(scores.both, scores.targets)
    text, image = spec.modality_dropout(draws.to(scores.fused.device), both)
    text, image = text.unsqueeze(1), image.unsqueeze(1)
    fused = torch.where(image, torch.where(text, scores.fused, scores.image), scores.text)
    allowed = scores.allowed & (text | scores.image_known) & (image | scores.text_known)
    return replace(scores, fused=fused, allowed=allowed)


def _topology(spec: "VLM2Rec", scores: BranchScores, keys: Branches, candidates: Tensor) -> Tensor:
    assert spec.crtr is not None  # noqa: S101 - by the caller
    strong = None
    if spec.crtr.stop_gradient_on_strong:
        margins = modality_margins(scores, "soft-min", spec.info_nce.temperature)
        strong = margins.image > margins.text
    if spec.crtr.relation == "user-item":
        return crtr_rows(scores, spec.crtr, strong)
    majority = None if strong is None else strong.float().mean() > 0.5
    known = keys.known().all(dim=1)
    rows = crtr_item_rows(
        keys.part("text"), keys.part("image"), candidates, known, spec.crtr, majority
    )
    return rows.mean().expand(len(scores.targets))


def _cross_term(scores: BranchScores) -> Tensor:
    """Returns by how much the fused score of targets exceeds the mean of the branches'."""
    with torch.no_grad():
        known = at_target(scores.both, scores.targets)
        mean = (scores.text + scores.image) / 2
        extra = at_target(scores.fused - mean, scores.targets)
        return extra.masked_fill(~known, 0.0).sum() / known.sum().clamp(min=1)
