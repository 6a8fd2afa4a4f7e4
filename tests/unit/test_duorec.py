"""DuoRec: which states are contrasted, how both losses add up, and that training resumes."""

from pathlib import Path

import pytest
import torch
from tests.reference.objectives_oracle import plain_nt_xent
from torch.nn import functional as F

from vlmrec.core.dropout import DropoutStream, attach
from vlmrec.core.protocols import TrainingBatch, Twins
from vlmrec.core.random import Streams
from vlmrec.data.twin_batches import TwinBatches
from vlmrec.models import DuoRec, SASRec
from vlmrec.models.spec import CatalogShape, draw_weights
from vlmrec.objectives.sequence_contrast import SequenceContrast
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.comparing import same_weights
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions

BATCH = TrainingBatch(
    items=torch.tensor([[4, 9, 2], [7, 3, 0], [5, 1, 6]]),
    targets=torch.tensor([[9, 2, 8], [3, 6, 0], [1, 6, 2]]),
    users=torch.tensor([1, 2, 3]),
    twins=Twins(torch.tensor([1, 0, 2]), torch.tensor([[3, 0, 0], [6, 2, 10], [4, 8, 0]])),
)
PASTS = ([4, 9], [7], [5, 1, 6])
TWINS = ([3], [6, 2, 10], [4, 8])
TARGETS = [2, 3, 2]


def build(dropout=0.0, spec=DuoRec, **options):
    model = spec(dim=8, hidden=16, max_len=4, dropout=dropout, **options).build(CatalogShape(11))
    draw_weights(model, Streams(0).torch("init"))
    with torch.no_grad():
        model.items.weight.mul_(20)
    return model


def state_after(model, items):
    return model.user_vectors(torch.tensor([items]))[0]


@pytest.mark.parametrize("mode", ["us_x", "us", "un", "su"])
def test_the_contrast_is_that_of_the_states_it_names(mode):
    """Without dropout H = H', so every mode can be written down."""
    weights = {"unsupervised": 0.3, "supervised": 0.6}
    contrast = SequenceContrast(mode=mode, similarity="dot", temperature=2.0, **weights)
    model = build(contrast=contrast).train()
    state = torch.stack([state_after(model, past) for past in PASTS])
    twin = torch.stack([state_after(model, past) for past in TWINS])
    same = plain_nt_xent(state, state, TARGETS, 2.0, "dot")
    other = plain_nt_xent(state, twin, TARGETS, 2.0, "dot")
    expected = {
        "us_x": 0.6 * other,
        "us": 0.3 * same + 0.6 * other,
        "un": 0.3 * same,
        "su": 0.6 * other,
    }[mode]
    torch.testing.assert_close(model.contrast_rows(BATCH), expected, atol=1e-4, rtol=1e-4)
    plain = build(spec=SASRec).training_loss(BATCH)
    loss = model.training_loss(BATCH)
    assert loss.count == plain.count == 8
    torch.testing.assert_close(loss.total, plain.total + 8 * expected.mean())
    told = model.take_signals()
    assert told["contrast"] == pytest.approx(expected.mean().item(), rel=1e-4)
    assert told["next-item loss"] == pytest.approx(plain.total.item() / 8, rel=1e-4)
    assert model.take_signals() == {}


def test_the_two_views_of_one_history_have_masks_of_their_own():
    states = []
    model = build(dropout=0.4, contrast=SequenceContrast(mode="un")).train()
    attach(model, DropoutStream(Streams(0)))
    see = model.user_vectors
    model.user_vectors = lambda items: states.append(see(items)) or states[-1]
    model.contrast_rows(BATCH)
    first, second = states
    assert not torch.isclose(first, second).all(dim=1).any()


def test_a_batch_without_twins_is_sasrec_and_the_contrast_asks_for_them():
    bare = TrainingBatch(BATCH.items, BATCH.targets, BATCH.users)
    model = build()
    plain = build(spec=SASRec)
    assert torch.equal(model.training_loss(bare).total, plain.training_loss(bare).total)
    with pytest.raises(ValueError, match="needs twins"):
        model.contrast_rows(bare)
    nothing = TrainingBatch(
        BATCH.items[:0],
        BATCH.targets[:0],
        BATCH.users[:0],
        twins=Twins(BATCH.twins.places, BATCH.twins.items).rows(0, 0),
    )
    loss = model.training_loss(nothing)  # a process without rows takes part in the step
    loss.total.backward()
    assert (loss.total.item(), loss.count) == (0.0, 0)


def test_learning_the_contrast_brings_each_history_to_its_twin():
    contrast = SequenceContrast(mode="su", similarity="cosine", temperature=0.2)
    model = build(contrast=contrast).train()

    def rival_ahead():
        own, twin = (
            F.normalize(torch.stack([state_after(model, one) for one in of]), dim=1)
            for of in (PASTS, TWINS)
        )
        cosine = own @ twin.T
        behind = cosine - cosine.diagonal()[:, None]
        # Rows 0 and 2 have one target and are no rivals.
        return float(behind[[0, 1, 1, 2], [1, 0, 2, 1]].max().detach())

    assert rival_ahead() > 0
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        model.contrast_rows(BATCH).mean().backward()
        optimizer.step()
    assert rival_ahead() < -0.3


class PowerCutError(Exception):
    """Stands in for a kill."""


@pytest.mark.parametrize("at", [1, 4, 9])
def test_a_run_cut_off_ends_bit_equal(monkeypatch, tmp_path: Path, at):
    spec = DuoRec(dim=8, hidden=16, max_len=6, dropout=0.4)
    options = TrainOptions(epochs=3, batch_size=6, device="cpu", learning_rate=0.02)
    split = small_dataset().leave_one_out()
    whole = fit(spec, split, tmp_path / "whole", options=options, quiet=True)
    build_batch, built = TwinBatches.build, []

    def cut(self, window, epoch, step):
        built.append(step)
        if len(built) == at:
            raise PowerCutError
        return build_batch(self, window, epoch, step)

    with monkeypatch.context() as patch:
        patch.setattr(TwinBatches, "build", cut)
        with pytest.raises(PowerCutError):
            fit(spec, split, tmp_path / "run", options=options, quiet=True)
    again = fit(spec, split, tmp_path / "run", options=options, quiet=True)
    assert same_weights(again, whole)


def test_shards_of_a_batch_keep_their_twins():
    part = BATCH.twins.rows(1, 3)
    assert part.places.tolist() == [0, 2]
    assert part.items.tolist() == [[6, 2, 10], [4, 8, 0]]
    moved = BATCH.to(torch.device("cpu"))
    assert torch.equal(moved.twins.items, BATCH.twins.items)
