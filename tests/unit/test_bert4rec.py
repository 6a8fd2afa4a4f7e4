"""BERT4Rec: what is asked for, what is read, and that training resumes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vlmrec.core.protocols import TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.batches import NextItemBatches
from vlmrec.data.cloze_batches import ClozeBatches
from vlmrec.data.negatives import UniformNegatives
from vlmrec.models import BERT4Rec
from vlmrec.models.spec import CatalogShape, draw_weights
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.comparing import same_weights
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions

USERS = torch.tensor([1, 2])


def make(mask_prob=0.3, last_share=0.0, seed=0, **drawn):
    histories = small_dataset().leave_one_out().train
    windows = NextItemBatches(histories, 4, 5, Streams(seed), **drawn)
    return ClozeBatches(windows, mask_prob, last_share)


def rows_of(batches, epoch=0):
    """Yields window and targets, without padding, of every row of an epoch."""
    for step, window in enumerate(batches.plan(epoch)):
        batch = batches.build(window, epoch, step)
        assert batch.items.shape == batch.targets.shape
        for items, targets, n in zip(batch.items, batch.targets, window.length, strict=True):
            assert not items[n:].any()
            assert not targets[n - 1 :].any()  # nothing follows the last event
            yield items[:n].tolist(), targets[: n - 1].tolist()


def test_some_events_of_a_window_are_targets_at_the_place_before_them():
    asked = places = 0
    for epoch in range(20):
        for items, targets in rows_of(make(), epoch):
            assert any(targets)
            assert all(
                target in (0, after) for target, after in zip(targets, items[1:], strict=True)
            )
            if len(targets) == 4:
                asked += sum(target != 0 for target in targets)
                places += 4
    # Of four, one at least: 4 p + (1 - p)^4 in the mean.
    assert asked / places == pytest.approx((4 * 0.3 + 0.7**4) / 4, abs=0.05)


def test_a_row_without_a_target_gets_one_anywhere():
    found = [
        tuple(target != 0 for target in targets)
        for epoch in range(20)
        for _, targets in rows_of(make(mask_prob=1e-9), epoch)
        if len(targets) == 4
    ]
    assert {sum(row) for row in found} == {1}
    counts = np.array(found).sum(axis=0) / len(found)
    assert counts == pytest.approx([0.25] * 4, abs=0.12)


def test_a_share_of_the_rows_asks_for_the_last_event_alone():
    whole = [targets for _, targets in rows_of(make(mask_prob=1.0, last_share=1.0))]
    assert whole
    assert all(targets[-1] and not any(targets[:-1]) for targets in whole)
    half = [
        any(targets[:-1])
        for epoch in range(20)
        for _, targets in rows_of(make(mask_prob=1.0, last_share=0.5), epoch)
        if len(targets) > 1
    ]
    assert np.mean(half) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(("mask_prob", "last_share"), [(0.5, 0.0), (0.2, 0.3), (1.0, 0.0)])
def test_the_usual_number_of_targets_is_that_of_an_average_batch(mask_prob, last_share):
    batches = make(mask_prob=mask_prob, last_share=last_share)
    counts = [
        int((batches.build(window, epoch, step).targets != 0).sum())
        for epoch in range(60)  # other draws in the rows of the first epoch
        for step, window in enumerate(batches.plan(0))
    ]
    usual = batches.build(batches.plan(0)[0], 0, 0).usual_count
    assert usual == pytest.approx(np.mean(counts), rel=0.02)


def test_the_usual_number_of_targets_holds_in_every_epoch_where_nothing_is_cut():
    histories = small_dataset().leave_one_out().train
    batches = ClozeBatches(NextItemBatches(histories, 50, 5, Streams(0)), 0.5, 0.3)
    counts = [
        int((batches.build(window, epoch, step).targets != 0).sum())
        for epoch in range(60)
        for step, window in enumerate(batches.plan(epoch))
    ]
    usual = batches.build(batches.plan(0)[0], 0, 0).usual_count
    assert usual == pytest.approx(np.mean(counts), rel=0.02)


def test_a_batch_follows_from_seed_epoch_and_step():
    assert list(rows_of(make(), 3)) == list(rows_of(make(), 3))
    assert list(rows_of(make(), 3)) != list(rows_of(make(seed=1), 3))
    window = make().plan(3)[0]
    one, other = (make().build(window, 3, step).targets for step in (0, 1))
    assert not one.equal(other)


@pytest.mark.parametrize("shared", [True, False])
def test_negatives_go_with_their_places(shared):
    sampler = UniformNegatives.over(np.arange(1, 24), small_dataset().leave_one_out().train)
    drawn = {"negatives": sampler, "n_negatives": 3, "shared_negatives": shared}
    batches = make(**drawn)
    window = batches.plan(0)[0]
    batch, plain = batches.build(window, 0, 0), batches.windows.build(window, 0, 0)
    if shared:
        assert batch.negatives.equal(plain.negatives)
    else:
        assert batch.negatives.shape == (*batch.items.shape, 3)
        assert batch.negatives[:, :-1].equal(plain.negatives)


def build(**options):
    model = BERT4Rec(dim=8, hidden=16, max_len=5, dropout=0.0, **options).build(CatalogShape(11))
    draw_weights(model, Streams(0).torch("init"))
    with torch.no_grad():
        model.items.weight.mul_(20)
        model.users.mask_vector.mul_(20)
        model.users.transformer.positions.mul_(20)
    return model


def loss(model, items, targets):
    return model.training_loss(TrainingBatch(torch.tensor(items), torch.tensor(targets), USERS))


def test_what_is_asked_for_is_not_read_and_all_else_is_from_both_sides():
    model = build()
    items = [[4, 9, 2, 7, 3, 6], [7, 3, 5, 0, 0, 0]]
    targets = [[0, 2, 0, 0, 0, 0], [0, 5, 0, 0, 0, 0]]
    before = loss(model, items, targets)
    assert before.count == 2
    changed = [[*row[:2], 11, *row[3:]] for row in items]  # hidden in both rows
    assert torch.equal(loss(model, changed, targets).total, before.total)
    for place in (0, 1, 3, 5):
        changed = [[*items[0][:place], 11, *items[0][place + 1 :]], items[1]]
        assert not torch.isclose(loss(model, changed, targets).total, before.total)


def test_recommending_asks_for_what_stands_behind_the_history():
    """The same query as training's where the last event alone is asked for."""
    model = build().eval()
    seen = []
    model.objective = type(
        "Watch",
        (),
        {
            "n_negatives": 0,
            "__call__": lambda self, queries, *rest: (
                seen.append(queries) or build().objective(queries, *rest)
            ),
        },
    )()
    loss(model, [[4, 9, 2, 7, 3, 6], [7, 3, 5, 0, 0, 0]], [[0, 0, 0, 0, 6, 0], [0, 5, 0, 0, 0, 0]])
    asked = model.ranker().encode(torch.tensor([[4, 9, 2, 7, 3], [7, 3, 0, 0, 0]]))
    torch.testing.assert_close(seen[0], asked)


def test_order_matters_and_position_counts_from_the_end():
    ranker = build().eval().ranker()
    one, other = ranker.encode(torch.tensor([[4, 9], [9, 4]]))
    assert not torch.isclose(one, other).all()
    positions = ranker._model.users.transformer.positions
    with torch.no_grad():
        positions[3:] = 99  # further back than a mask and two items
    torch.testing.assert_close(ranker.encode(torch.tensor([[4, 9, 0, 0]]))[0], one)


class PowerCutError(Exception):
    """Stands in for a kill."""


@pytest.mark.parametrize("at", [2, 9])
def test_a_run_cut_off_ends_bit_equal(monkeypatch, tmp_path: Path, at):
    spec = BERT4Rec(dim=8, hidden=16, max_len=6, dropout=0.4)
    options = TrainOptions(epochs=3, batch_size=6, device="cpu", learning_rate=0.02)
    split = small_dataset().leave_one_out()
    whole = fit(spec, split, tmp_path / "whole", options=options, quiet=True)
    build_batch, built = ClozeBatches.build, []

    def cut(self, window, epoch, step):
        built.append(step)
        if len(built) == at:
            raise PowerCutError
        return build_batch(self, window, epoch, step)

    with monkeypatch.context() as patch:
        patch.setattr(ClozeBatches, "build", cut)
        with pytest.raises(PowerCutError):
            fit(spec, split, tmp_path / "run", options=options, quiet=True)
    again = fit(spec, split, tmp_path / "run", options=options, quiet=True)
    assert same_weights(again, whole)
