"""FPMC against its factor form, and what it makes of users that it does not know."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from vlmrec.core.protocols import PersonalRanker, TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.dataset import Dataset
from vlmrec.data.negatives import UniformNegatives
from vlmrec.evaluation.ranking import rank_targets
from vlmrec.models import FPMC
from vlmrec.models.spec import CatalogShape, draw_weights
from vlmrec.pipeline.evaluation import training_data
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import Run
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions
from vlmrec.users.fpmc import PersonalMarkovChain

N_USERS, N_ITEMS, K = 5, 11, 3
OPTIONS = TrainOptions(epochs=3, batch_size=7, learning_rate=0.02, device="cpu")


def filled(model):
    """Gives every weight a value that matters, those of padding and of user 0 as well."""
    generator = Streams(3).torch("weights")
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    return model.eval()


def fpmc():
    return filled(FPMC(dim=K, max_len=4).build(CatalogShape(N_ITEMS, n_users=N_USERS)))


def by_the_paper(model, user, last, item):
    """Returns <V^UI_u, V^IU_i> + <V^LI_l, V^IL_i>, factor by factor."""
    rows = model.items.weight.tolist()
    user_item = model.users.factors.weight.tolist()[user] if user else [0.0] * K
    last_item = rows[last][:K] if last else [0.0] * K
    score = 0.0
    for factor in range(K):
        score += user_item[factor] * rows[item][K + factor]
        score += last_item[factor] * rows[item][2 * K + factor]
    return score


def test_scores_are_those_of_the_factor_form():
    ranker = fpmc().ranker()
    assert isinstance(ranker, PersonalRanker)
    model = fpmc()
    histories = torch.tensor([[4, 9, 2], [7, 0, 0], [3, 11, 0], [0, 0, 0]])
    last = [2, 7, 11, 0]
    for users in ([1, 5, 2, 3], [0, 0, 0, 0], [2, 0, 6, 999]):  # beyond 5 users
        queries = ranker.encode_users(histories, torch.tensor(users))
        scores = ranker.score(queries, 1, N_ITEMS + 1)
        for row, user in enumerate(users):
            known = user if user <= N_USERS else 0
            expected = [
                by_the_paper(model, known, last[row], item) for item in range(1, N_ITEMS + 1)
            ]
            torch.testing.assert_close(scores[row], torch.tensor(expected), atol=1e-5, rtol=1e-5)
    nobody = ranker.encode_users(histories, torch.zeros(4, dtype=torch.int64))
    assert torch.equal(ranker.encode(histories), nobody)


def test_the_loss_is_s_bpr_of_the_factor_form():
    model = fpmc()
    batch = TrainingBatch(
        items=torch.tensor([[4, 9, 2], [7, 3, 0]]),
        targets=torch.tensor([[9, 2, 8], [3, 6, 0]]),
        users=torch.tensor([2, 4]),
        negatives=torch.tensor([[[1], [5], [8]], [[10], [2], [1]]]),
    )
    expected = 0.0
    for row, user in enumerate((2, 4)):
        for t in range(3):
            target = int(batch.targets[row, t])
            if target:
                last, wrong = int(batch.items[row, t]), int(batch.negatives[row, t, 0])
                ahead = by_the_paper(model, user, last, target)
                ahead -= by_the_paper(model, user, last, wrong)
                expected += float(np.log1p(np.exp(-ahead)))
    loss = model.training_loss(batch)
    assert loss.count == 5
    assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-5)


def test_a_chain_over_content_vectors_is_user_plus_map_of_the_latest_item():
    chain = filled(PersonalMarkovChain(dim=4, n_users=N_USERS))
    generator = Streams(1).torch("x")
    vectors = torch.randn(2, 3, 4, generator=generator).requires_grad_()
    mask = torch.tensor([[True, True, True], [True, False, False]])
    states = chain(vectors, mask, torch.tensor([3, 0]))
    for row, user in enumerate((3, 0)):
        own = chain.factors.weight[user] if user else torch.zeros(4)
        for t in range(3):
            moved = chain.transition.weight @ vectors[row, t] if mask[row, t] else torch.zeros(4)
            torch.testing.assert_close(states[row, t], own + moved)
    states.sum().backward()
    assert not chain.factors.weight.grad[[0, 1, 2, 4, 5]].any()
    assert chain.factors.weight.grad[3].all()


def test_a_user_without_training_rows_ranks_like_an_unknown_one():
    model = PersonalMarkovChain(dim=4, n_users=N_USERS)
    draw_weights(model, Streams(0).torch("init"))
    assert not model.factors.weight.any()
    assert model.transition.weight.any()
    data = small_dataset()
    split = data.leave_one_out()
    split = replace(split, train=split.train.subset(split.train.users > 6))
    run = fit(FPMC(dim=4), split, options=OPTIONS, quiet=True)
    learned = run.model.users.factors.weight
    trained = np.unique(split.train.users[split.train.lengths >= 2])
    others = np.setdiff1d(np.arange(data.n_users + 1), trained)
    assert others.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert not learned[others].any()
    assert learned[trained].any(dim=1).all()


def test_users_rank_differently_and_do_so_after_loading(tmp_path):
    split = small_dataset().leave_one_out()
    run = fit(FPMC(dim=4), split, tmp_path / "run", options=OPTIONS, quiet=True)
    again = Run.load(tmp_path / "run")
    ranks = rank_targets(run.ranker(), split.test, top_k=5)
    stored = rank_targets(again.ranker(), split.test, top_k=5)
    assert np.array_equal(ranks.top_scores, stored.top_scores)
    with_users = run.info["metrics"]["test"]["metrics"]["NDCG@10"]["mean"]
    assert run.ranks is not None
    assert run.ranks["rank"].to_numpy().tolist() == ranks.ranks.tolist()
    assert with_users >= 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["shape"]["n_users"] == split.dataset.n_users == 29


def test_a_record_without_users_has_none():
    shape = CatalogShape.of({"n_items": 7, "widths": {"text": 3}})
    assert shape == CatalogShape(7, {"text": 3}, 0)
    assert CatalogShape.of({"n_items": 7, "widths": {}, "n_users": 4}).n_users == 4
    empty = FPMC(dim=2).build(CatalogShape(7))
    assert empty.user_vectors(torch.tensor([[1]]), torch.tensor([3])).shape == (1, 6)


def test_negatives_are_all_but_the_target_unless_told_otherwise():
    data = small_dataset()
    split = data.leave_one_out()

    def drawn(**options):
        training = training_data(split)
        model = FPMC(dim=2, **options).build(training.shape)
        model.prepare(training)
        source = model.batches(training, Streams(0), batch_size=7, epochs=1)
        return source.negatives

    assert isinstance(drawn(), UniformNegatives)
    assert drawn().known is None
    assert drawn(exclude="history").known is not None


def test_the_dataset_is_not_needed_for_strangers():
    data: Dataset = small_dataset()
    run = fit(FPMC(dim=4), data.leave_one_out(), options=OPTIONS, quiet=True)
    vectors = run.model.user_vectors(torch.tensor([[3, 4], [0, 0]]), torch.tensor([2, 2]))
    assert vectors.requires_grad
    torch.testing.assert_close(vectors[1, :4], torch.zeros(4))
    torch.testing.assert_close(vectors[0, 4:8], vectors[1, 4:8])
