"""VLM2Rec's losses: values against the plain oracle, gradients, and the properties derived."""

from dataclasses import replace

import pytest
import torch
from tests.reference import branch_oracle as oracle
from tests.reference.branch_cases import draw, summed, unbalanced

from vlmrec.objectives import Crtr, GradientModulation, InfoNce, UnimodalHeads, Wpcl
from vlmrec.objectives.branch_facts import branch_facts, starvation
from vlmrec.objectives.crtr import crtr_rows
from vlmrec.objectives.gradient_modulation import modulation_factors
from vlmrec.objectives.info_nce import info_nce_rows
from vlmrec.objectives.unimodal_heads import unimodal_rows

TAU = 0.2


def lists(scores):
    return {name: value.tolist() for name, value in vars(scores).items()}


def branch_gradients(loss, text, image, share=1.0):
    """Returns the gradients by text and image, of which the fused score is the sum."""
    text, image = text.clone().requires_grad_(), image.clone().requires_grad_()
    return torch.autograd.grad(loss(summed(text, image, share=share)).sum(), (text, image))


@pytest.mark.parametrize("kind", ["soft-min", "mean", "max"])
@pytest.mark.parametrize("variant", ["A", "B", "C"])
def test_wpcl_is_that_of_the_oracle(variant, kind):
    for seed, gap_max in ((0, 0.3), (1, 0.02)):
        scores = draw(seed=seed)
        config = Wpcl(variant=variant, margin=kind, gap_max=gap_max, margin_temperature=0.4)
        rows = config(scores, TAU)
        for row in range(6):
            plain = oracle.wpcl(lists(scores), row, TAU, variant, 0.5, gap_max, kind, 0.4)
            ours = (rows.loss[row], rows.gap[row], rows.weak_is_image[row], rows.weight[row])
            assert [float(value) for value in ours] == pytest.approx([float(x) for x in plain])
        assert rows.known.tolist()[:3] == [False, False, False]
        assert rows.known[3:].any()


def test_info_nce_heads_and_crtr_are_those_of_the_oracle():
    scores = draw(seed=4)
    case = lists(scores)
    crtr, bare = Crtr(weight=1, temperature=0.3), Crtr(temperature=0.3, drop_target=True)
    ours = zip(
        InfoNce(temperature=TAU)(scores),
        *unimodal_rows(scores, TAU),
        crtr_rows(scores, crtr),
        crtr_rows(scores, bare),
        strict=True,
    )
    both = oracle.both(case)
    for row, values in enumerate(ours):
        target = case["targets"][row]
        negatives = [j for j in range(7) if case["allowed"][row][j] and j != target]
        shared = [j for j in range(7) if case["allowed"][row][j] and both[row][j]]
        rest = [j for j in shared if j != target]
        plain = [oracle.info_nce(case["fused"][row], target, negatives, TAU)]
        for name in ("text", "image"):
            own = oracle.negatives_of(case, row, case[f"{name}_known"])
            plain.append(oracle.info_nce(case[name][row], target, own, TAU) if own else 0.0)
        for columns in (shared, rest):
            plain.append(oracle.divergence(case["text"][row], case["image"][row], columns, 0.3))
        assert [float(value) for value in values] == pytest.approx(plain)
    text, image = unimodal_rows(scores, TAU)
    torch.testing.assert_close(UnimodalHeads(weight=0.25)(scores, TAU), (text + image) / 4)
    torch.testing.assert_close(Crtr(weight=0.5)(scores), crtr_rows(scores, Crtr()) / 2)


@pytest.mark.parametrize(
    "loss",
    [
        InfoNce(temperature=TAU),
        lambda scores: info_nce_rows(
            scores.fused, scores.targets, scores.allowed, TAU, scores.text[:, 0]
        ),
        lambda scores: Wpcl(stop_gradient=False)(scores, TAU).loss,
        lambda scores: Wpcl(stop_gradient=False, margin="mean", gap_max=0.05)(scores, TAU).loss,
        lambda scores: Wpcl(stop_gradient=False, margin="max", warmup=0)(scores, TAU).loss,
        lambda scores: UnimodalHeads()(scores, TAU),
        Crtr(weight=1, temperature=0.3),
        Crtr(weight=1, temperature=0.3, drop_target=True),
    ],
)
def test_gradcheck_with_masks(loss):
    scores = draw(seed=6)
    scores = replace(scores, text=scores.text.nan_to_num(), image=scores.image.nan_to_num())

    def rows(fused, text, image):
        return loss(replace(scores, fused=fused, text=text, image=image))

    inputs = [x.clone().requires_grad_() for x in (scores.fused, scores.text, scores.image)]
    assert torch.autograd.gradcheck(rows, inputs)


@pytest.mark.parametrize("scaled", [False, True])
def test_strong_margin_is_frozen_and_the_weak_one_is_not(scaled):
    """The gradient is the true one of the loss in which the strong margin is a constant."""
    text, image = unbalanced()
    scores = summed(text, image)
    config = Wpcl(scaled=scaled, gap_max=4)
    strong = text.clone().requires_grad_()
    config(replace(scores, text=strong), TAU).loss.sum().backward()
    assert not strong.grad.any()
    if not scaled:  # spreads of the batch are constants too, which differences cannot know
        rows = lambda weak: config(replace(scores, image=weak), TAU).loss  # noqa: E731
        assert torch.autograd.gradcheck(rows, image.clone().requires_grad_())
    # Swapped, the text is weak, and the image stays still.
    still = text.clone().requires_grad_()
    swapped = config(replace(scores, text=image, image=still), TAU)
    swapped.loss.sum().backward()
    assert not still.grad.any()
    assert not swapped.weak_is_image.any()


@pytest.mark.parametrize("kappa", [0.1, 0.37, 0.5, 1.0])
@pytest.mark.parametrize("options", [{}, {"margin": "mean"}, {"margin": "max"}, {"scaled": True}])
def test_weak_gradient_is_one_plus_kappa_times_the_strong(kappa, options):
    text, image = unbalanced()
    config = Wpcl(kappa=kappa, gap_max=4, **options)
    for share, expected in ((1.0, 1 + kappa), (0.5, 1 + 2 * kappa)):
        strong, weak = branch_gradients(lambda s: config(s, TAU).loss, text, image, share)
        ratio = weak[:, 1:].abs().sum(dim=1) / strong[:, 1:].abs().sum(dim=1)
        torch.testing.assert_close(ratio, torch.full_like(ratio, expected))


def test_clipped_gap_frees_the_weak_margin_unless_straight_through():
    text, image = unbalanced()
    hard, through = (Wpcl(gap_max=0.05, clip=clip) for clip in ("hard", "straight-through"))
    scores = summed(text, image)
    assert (hard(scores, TAU).gap == 0.05).all()
    torch.testing.assert_close(hard(scores, TAU).loss, through(scores, TAU).loss)
    for config, expected in ((hard, 1.0), (through, 1.5)):
        strong, weak = branch_gradients(lambda s, c=config: c(s, TAU).loss, text, image)
        torch.testing.assert_close(weak[:, 1:].sum(), expected * strong[:, 1:].sum())


@pytest.mark.parametrize("variant", ["A", "B", "C"])
def test_without_gap_kappa_or_progress_it_is_info_nce(variant):
    text, image = unbalanced()
    plain = InfoNce(temperature=TAU)
    cases = (
        (Wpcl(variant=variant, kappa=0), image, 1.0),
        (Wpcl(variant=variant), image, 0.0),
        (Wpcl(variant=variant), text, 1.0),
    )
    for config, other, progress in cases:
        loss = lambda s, c=config, p=progress: c(s, TAU, p).loss  # noqa: E731
        scores = summed(text, other)
        assert torch.equal(loss(scores), plain(scores))
        for one, two in zip(
            branch_gradients(loss, text, other), branch_gradients(plain, text, other), strict=True
        ):
            assert torch.equal(one, two)
    assert (Wpcl(variant=variant)(summed(text, image), TAU).loss > plain(summed(text, image))).all()


@pytest.mark.parametrize("variant", ["B", "C"])
def test_detached_weights_carry_no_gradient_to_the_margins(variant):
    """B pulls both branches alike; C adds a pull by the weak branch's own scores alone."""
    text, image = unbalanced()
    config = Wpcl(variant=variant)
    strong, weak = branch_gradients(lambda s: config(s, TAU).loss, text, image)
    scores = summed(text, image)
    own = image.clone().requires_grad_()
    weight = config(scores, TAU).weight
    (weight - 1).mul(unimodal_rows(replace(scores, image=own), TAU)[1]).sum().backward()
    torch.testing.assert_close(weak - strong, own.grad if variant == "C" else 0 * own.grad)


def test_kappa_rises_over_the_warm_up():
    scores = summed(*unbalanced())
    half = Wpcl(kappa=0.5, warmup=0.1)(scores, TAU, 0.05)
    torch.testing.assert_close(half.loss, Wpcl(kappa=0.25, warmup=0)(scores, TAU, 0.0).loss)
    torch.testing.assert_close(Wpcl()(scores, TAU, 0.7).loss, Wpcl()(scores, TAU, 0.1).loss)


def test_the_worked_example_of_the_derivation():
    """31 negatives, t .07, kappa .14, margins .283 and -.0115: coefficients within .02."""
    text, image = torch.zeros(2, 1, 32, dtype=torch.float64)
    text[0, 0], image[0, 0] = 0.2831, -0.0115
    pulls = {}
    for name, loss in {
        "InfoNCE": InfoNce(temperature=0.07),
        "image alone": lambda s: unimodal_rows(s, 0.07)[1],
        "WPCL": lambda s: Wpcl(kappa=0.14)(s, 0.07).loss,
        "drag-down": lambda s: Wpcl(kappa=0.14, stop_gradient=False)(s, 0.07).loss,
    }.items():
        text_, image_ = text.clone().requires_grad_(), image.clone().requires_grad_()
        given = torch.autograd.grad(
            loss(summed(text_, image_)).sum(), (text_, image_), allow_unused=True
        )
        pulls[name] = [0.0 if g is None else g[:, 1:].sum().item() for g in given]
    assert pulls["InfoNCE"] == pytest.approx([5.58, 5.58], abs=0.01)
    assert pulls["image alone"] == pytest.approx([0, 13.90], abs=0.01)
    assert pulls["WPCL"] == pytest.approx([7.66, 8.74], abs=0.02)
    assert pulls["drag-down"] == pytest.approx([6.59, 8.74], abs=0.02)
    facts = branch_facts(summed(text, image), 0.07)
    assert facts.image_starvation.item() == pytest.approx(0.40, abs=0.005)
    assert facts.gap.item() == pytest.approx(0.2946)


def test_crtr_is_symmetric_never_negative_and_zero_for_equal_topologies():
    scores = draw(seed=8)
    rows = crtr_rows(scores, Crtr())
    swapped = replace(
        scores,
        text=scores.image,
        image=scores.text,
        text_known=scores.image_known,
        image_known=scores.text_known,
    )
    torch.testing.assert_close(rows, crtr_rows(swapped, Crtr()))
    assert (rows >= 0).all()
    assert (rows > 0).any()
    shifted = replace(scores, image=scores.text + torch.arange(6.0)[:, None])
    torch.testing.assert_close(crtr_rows(shifted, Crtr()), torch.zeros_like(rows))


def test_crtr_holds_the_stronger_side_still():
    text, image = unbalanced()
    config = Crtr(stop_gradient_on_strong=True)
    strong = torch.tensor([True, False, True, False])
    loss = lambda s: crtr_rows(s, config, strong)  # noqa: E731
    by_text, by_image = branch_gradients(loss, text, image)
    assert by_text.any(dim=1).tolist() == [True, False, True, False]
    assert by_image.any(dim=1).tolist() == [False, True, False, True]
    with pytest.raises(ValueError, match="needs image_is_strong"):
        config(summed(text, image))


def test_facts_and_factors_are_those_of_the_oracle():
    scores = draw(seed=9)
    case = lists(scores)
    ours = [value.item() for value in starvation(scores, TAU)]
    assert ours == pytest.approx([oracle.starvation(case, m, TAU) for m in ("text", "image")])
    facts = branch_facts(scores, TAU)
    used = [row for row in range(6) if oracle.negatives_of(case, row, oracle.both(case))]
    plain = [oracle.wpcl(case, row, TAU, gap_max=4) for row in used]
    assert facts.rows == len(used) == 3
    assert facts.gap.item() == pytest.approx(sum(gap for _, gap, _, _ in plain) / 3, abs=1e-6)
    assert facts.weak_image.item() == pytest.approx(sum(weak for _, _, weak, _ in plain) / 3)
    margins = [
        oracle.margin(
            case["text"][row],
            case["targets"][row],
            oracle.negatives_of(case, row, oracle.both(case)),
            "soft-min",
            TAU,
        )
        for row in used
    ]
    assert facts.text_margin.item() == pytest.approx(sum(margins) / 3, abs=1e-6)
    sure = {"text": 0.0, "image": 0.0}
    for row in used:
        target, compared = case["targets"][row], oracle.negatives_of(case, row, oracle.both(case))
        for name in sure:
            sure[name] += oracle.ranks(case[name][row], [target, *compared], TAU)[0]
    ahead = max(sure, key=sure.__getitem__)
    ratio = max(sure.values()) / min(sure.values())
    expected = {"text": 1.0, "image": 1.0, ahead: 1 - torch.tanh(torch.tensor(0.3 * ratio)).item()}
    factors = modulation_factors(scores, TAU, GradientModulation())
    assert [f.item() for f in factors] == pytest.approx([expected["text"], expected["image"]])
