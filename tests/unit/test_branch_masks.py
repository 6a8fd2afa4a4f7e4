"""Two-branch losses where something is missing, twice there, or very large; and the draws."""

from dataclasses import replace

import pytest
import torch
from tests.reference import branch_oracle as oracle

from vlmrec.core.errors import ConfigError
from vlmrec.objectives import (
    BranchScores,
    Crtr,
    GradientModulation,
    InfoNce,
    ModalityDropout,
    UnimodalHeads,
    Wpcl,
)
from vlmrec.objectives.branch_facts import branch_facts
from vlmrec.objectives.branch_scores import candidate_mask
from vlmrec.objectives.crtr import crtr_item_rows
from vlmrec.objectives.gradient_modulation import modulation_factors, scale_gradient

LOSSES = {
    "InfoNCE": InfoNce(),
    "WPCL-A": lambda s: Wpcl()(s, 0.05).loss,
    "WPCL-A mean scaled": lambda s: Wpcl(margin="mean", scaled=True)(s, 0.05).loss,
    "WPCL-A max": lambda s: Wpcl(margin="max", stop_gradient=False)(s, 0.05).loss,
    "WPCL-B": lambda s: Wpcl(variant="B")(s, 0.05).loss,
    "WPCL-C": lambda s: Wpcl(variant="C")(s, 0.05).loss,
    "heads": lambda s: UnimodalHeads()(s, 0.05),
    "CRTR": Crtr(),
    "CRTR without target": Crtr(drop_target=True),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def uneven(dtype=torch.float32, scale=0.1):
    """Returns 5 rows against 7 candidates; rows 3 and 4 know no text, and no candidate at all."""
    random = torch.Generator().manual_seed(1)
    fused, text, image = (torch.randn(3, 5, 7, generator=random) * scale).to(dtype)
    targets = torch.tensor([6, 0, 3, 3, 1])
    allowed = torch.rand(5, 7, generator=random) < 0.7
    allowed[4] = False
    allowed = allowed.scatter(1, targets[:, None], True)
    text_known = torch.ones(5, 7, dtype=torch.bool)
    text_known[3], text_known[:, 5] = False, False
    image_known = torch.ones(5, 7, dtype=torch.bool)
    image_known[0, 6] = False
    return BranchScores(fused, text, image, targets, allowed, text_known, image_known)


def value_and_gradients(loss, scores):
    names = ("fused", "text", "image")
    inputs = {name: getattr(scores, name).clone().requires_grad_() for name in names}
    rows = loss(replace(scores, **inputs))
    rows.sum().backward()
    return rows.detach(), [
        torch.zeros_like(x) if x.grad is None else x.grad for x in inputs.values()
    ]


def test_candidates_are_neither_history_nor_the_target_again_nor_padding():
    candidates = torch.tensor([5, 8, 5, 0, 2, 9, 8])
    targets = torch.tensor([0, 2, 4, 5])  # items 5, 5, 2, 9
    histories = torch.tensor([[8, 0, 0], [2, 3, 7], [2, 9, 0], [0, 0, 0]])
    mask = candidate_mask(candidates, targets, histories)
    assert mask.int().tolist() == [
        # 5, 8, 5, 0, 2, 9, 8
        [1, 0, 0, 0, 1, 1, 0],  # 8 is history; the second 5 is the target again
        [0, 1, 1, 0, 0, 1, 1],  # the target is the second 5, and the first is its copy
        [1, 1, 1, 0, 1, 0, 1],  # 2 is target and history: it stays
        [1, 1, 1, 0, 1, 1, 1],  # without history; padding is never there
    ]


@every_loss
def test_what_is_masked_neither_counts_nor_learns(loss):
    scores = uneven()
    value, gradients = value_and_gradients(loss, scores)
    hidden = {
        "fused": ~scores.allowed,
        "text": ~(scores.allowed & scores.text_known),
        "image": ~(scores.allowed & scores.image_known),
    }
    for filling in (float("nan"), float("inf"), 1e30):
        changed = {k: getattr(scores, k).masked_fill(where, filling) for k, where in hidden.items()}
        again, others = value_and_gradients(loss, replace(scores, **changed))
        assert torch.equal(again, value)
        for one, other, where in zip(gradients, others, hidden.values(), strict=True):
            assert torch.equal(one, other)
            assert not other[where].any()
    assert value[1:3].all()
    assert value[4] == 0  # no negatives
    assert not any(gradient[4].any() for gradient in gradients)


def test_rows_without_one_modality_are_plain_info_nce():
    scores = uneven()
    plain, rows = InfoNce()(scores), Wpcl()(scores, 0.05)
    assert rows.known.tolist() == [False, True, True, False, False]
    torch.testing.assert_close(rows.loss[~rows.known], plain[~rows.known])
    assert (rows.gap > 0).tolist() == rows.known.tolist()
    assert (rows.weight > 1).tolist() == rows.known.tolist()
    # Row 0 lacks its target's image only: its other candidates still have two topologies.
    assert Crtr()(scores).bool().tolist() == [True, True, True, False, False]


def test_a_batch_without_any_pair_is_measured_as_nothing():
    scores = uneven()
    scores = replace(scores, text_known=torch.zeros_like(scores.text_known))
    assert not any(vars(branch_facts(scores, 0.05)).values())
    assert modulation_factors(scores, 0.05, GradientModulation()) == (1, 1)
    assert torch.equal(Wpcl(scaled=True)(scores, 0.05).loss, InfoNce()(scores))


@every_loss
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(torch.float32, 1e4), (torch.bfloat16, 1e4), (torch.bfloat16, 0.3), (torch.float16, 1e4)],
)
def test_large_logits_do_not_overflow(loss, dtype, scale):
    scores = uneven(dtype, scale)
    value, gradients = value_and_gradients(loss, scores)
    assert value.dtype == torch.float32
    wide = {name: getattr(scores, name).double() for name in ("fused", "text", "image")}
    exact, _ = value_and_gradients(loss, replace(scores, **wide))
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-5)
    for gradient in gradients:
        assert gradient.dtype == dtype
        assert torch.isfinite(gradient).all()


def test_bfloat16_cosines_of_one_at_a_low_temperature():
    ones = torch.ones(2, 4, dtype=torch.bfloat16)
    yes = ones.bool()
    scores = BranchScores(ones, ones, -ones, torch.tensor([1, 2]), yes, yes, yes)
    rows = Wpcl(gap_max=4)(scores, 0.01)
    torch.testing.assert_close(rows.loss, torch.full((2,), 4.0).log())  # all alike, no gap
    apart = replace(scores, image=ones.scatter(1, scores.targets[:, None], -1.0))
    rows = Wpcl(gap_max=4, kappa=4)(apart, 0.01)
    assert rows.gap.tolist() == [2.0, 2.0]  # the image has the target 2 below its negatives
    assert torch.isfinite(rows.weight).all()
    torch.testing.assert_close(rows.loss, torch.full((2,), 800.0) + torch.tensor(3.0).log())


def test_likely_positives_are_left_out_where_asked():
    fused = torch.tensor([[0.5, 0.55, 0.65, 0.1]], dtype=torch.float64)
    yes = torch.ones(1, 4, dtype=torch.bool)
    scores = BranchScores(fused, fused, fused, torch.tensor([0]), yes, yes, yes)
    masked = InfoNce(temperature=0.1, mask_margin=0.1)(scores)
    without = replace(scores, allowed=torch.tensor([[True, True, False, True]]))
    assert torch.equal(masked, InfoNce(temperature=0.1)(without))
    assert masked < InfoNce(temperature=0.1)(scores)


def test_scaled_margins_compare_spreads_not_sizes():
    """Text cosines fill a cone a tenth as wide: its margin is smaller, but relatively larger."""
    random = torch.Generator().manual_seed(2)
    image = torch.randn(5, 9, generator=random, dtype=torch.float64) * 0.1
    text = torch.randn(5, 9, generator=random, dtype=torch.float64) * 0.01
    image[:, 0], text[:, 0] = 0.2, 0.06
    yes = torch.ones(5, 9, dtype=torch.bool)
    targets = torch.zeros(5, dtype=torch.int64)
    scores = BranchScores(text + image, text, image, targets, yes, yes, yes)
    assert not Wpcl(margin="mean")(scores, 0.05).weak_is_image.any()
    rows = Wpcl(margin="mean", scaled=True, gap_max=4)(scores, 0.05)
    assert rows.weak_is_image.all()
    ratio = image[:, 1:].std(correction=0) / text[:, 1:].std(correction=0)
    margins = [s[:, 0] - s[:, 1:].mean(dim=1) for s in (text, image)]
    torch.testing.assert_close(rows.gap, ratio * margins[0] - margins[1])


def test_item_item_topology_is_that_of_the_oracle():
    random = torch.Generator().manual_seed(5)
    text, image = torch.randn(2, 6, 3, generator=random, dtype=torch.float64)
    candidates = torch.tensor([4, 9, 4, 0, 7, 8])  # item 4 stands twice, column 3 is padding
    known = torch.tensor([True, True, True, True, True, False])
    rows = crtr_item_rows(text, image, candidates, known, Crtr(temperature=0.3))
    others = [[1, 4], [0, 2, 4], [1, 4], [], [0, 1, 2], []]
    case = [(text @ text.T).tolist(), (image @ image.T).tolist()]
    plain = [oracle.divergence(*(m[row] for m in case), others[row], 0.3) for row in range(6)]
    assert rows.tolist() == pytest.approx(plain)


def test_item_topology_without_candidates_is_zero():
    text = torch.eye(3).requires_grad_()
    none = torch.zeros(3, dtype=torch.bool)
    rows = crtr_item_rows(text, text.flip(0), torch.tensor([1, 2, 3]), none, Crtr())
    rows.sum().backward()
    assert not rows.any()
    assert not text.grad.any()


def test_modality_dropout_drops_one_modality_of_a_share_p():
    draws = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    text, image = ModalityDropout(p=0.2)(draws)
    assert (text | image).all()
    assert (~text).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert (~image).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert all(kept.all() for kept in ModalityDropout(p=0)(draws))
    text, image = ModalityDropout(p=1)(draws)
    assert (text ^ image).all()
    alone = ModalityDropout(p=1)(draws, torch.zeros(20_000, dtype=torch.bool))
    assert all(kept.all() for kept in alone)


def test_a_gradient_is_scaled_on_its_way_back():
    values = torch.randn(400, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    scaled = scale_gradient(values, torch.tensor(0.25))
    assert torch.equal(scaled, values)
    (given,) = torch.autograd.grad((scaled * scaled.detach()).sum(), values)
    torch.testing.assert_close(given, values.detach() / 4)


def test_senseless_options_are_refused():
    with pytest.raises(ConfigError, match=r"'kappa'.*greater than or equal to 0"):
        Wpcl.parse({"kappa": -1}, "a test")
    with pytest.raises(ConfigError, match=r"'variant'.*'A', 'B' or 'C'"):
        Wpcl.parse({"variant": "D"}, "a test")
