"""HLLM's loss is the paper's, its states see no later item, and what cannot learn is refused."""

import math

import polars as pl
import pytest
import torch
from torch.nn import functional as F

from vlmrec.core.columns import TITLE
from vlmrec.core.errors import ConfigError, DataError
from vlmrec.core.protocols import TrainingBatch
from vlmrec.data.batches import NextItemBatches
from vlmrec.data.dataset import Dataset
from vlmrec.models import HLLM
from vlmrec.pipeline.adding import add_items
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.learning import prepared_model
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run
from vlmrec.testing.comparing import same_weights
from vlmrec.testing.worlds import small_items, small_log
from vlmrec.train.options import TrainOptions
from vlmrec.vlm.toy import ToyOptions, make_toy

CPU = torch.device("cpu")
ALL_COUNT = {"n_negatives": 4, "skip_similar": None}


@pytest.fixture(scope="module")
def split():
    items = small_items()
    twice = items.with_columns(pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("title of i03"))
                               .otherwise(TITLE).alias(TITLE))  # fmt: skip
    return Dataset.from_frames(small_log(), twice).leave_one_out()


def spec_of(**changes):
    return HLLM.parse({"backbone": "tiny", "max_len": 5, **changes}, "a test")


def model_of(split, **changes):
    """Returns a model with its start weights, without dropout."""
    model, _ = prepared_model(spec_of(**changes), 0, split, {}, CPU)
    return model.eval()


def plain_loss(model, batch, limit):
    """Returns the paper's loss, each item and each start of a history read apart; and skips."""
    width = model.item_model.reader.vlm.width

    def vector(item):
        raw = model.item_model.reader.items(torch.tensor([int(item)])).flat()[0]
        if not model.spec.standardise:
            return raw / raw.norm() * width**0.5
        return model.items.adapter((raw - model.items.mean) / model.items.spread)

    def cosine(a, b):
        return (a @ b) / (a.norm() * b.norm())

    k = model.scorer.log_scale.exp()
    total, skipped = torch.zeros(()), []
    for row, history in enumerate(batch.items):
        for t in range(int((history != 0).sum())):
            start = torch.stack([vector(item) for item in history[: t + 1]])[None]
            state = model.users(start, torch.ones(1, t + 1, dtype=torch.bool))[0, -1]
            goal = vector(batch.targets[row, t])
            others = [vector(item) for item in batch.negatives if item != batch.targets[row, t]]
            alike = [float(cosine(goal, one).detach()) > limit for one in others]
            kept = [one for one, out in zip(others, alike, strict=True) if not out]
            scores = torch.stack([k * cosine(state, one) for one in (goal, *kept)])
            total = total + torch.logsumexp(scores, dim=0) - scores[0]
            skipped += alike
    return total, skipped


@pytest.mark.parametrize(("standardise", "limit"), [(False, 0.9989), (True, 0.99)])
def test_loss_and_gradients_are_those_of_the_paper(split, standardise, limit):
    objective = {"n_negatives": 6, "skip_similar": limit}
    model = model_of(split, standardise=standardise, objective=objective, chunk=3)
    batch = TrainingBatch(
        torch.tensor([[3, 9, 4], [5, 0, 0]]),
        torch.tensor([[9, 4, 8], [2, 0, 0]]),  # the eighth item has the title of the fourth
        torch.tensor([1, 2]),
        torch.tensor([1, 4, 8, 11, 2, 17]),
    )
    found = model.training_loss(batch)
    wanted, skipped = plain_loss(model, batch, limit)
    assert True in skipped
    assert False in skipped
    assert found.count == 4
    torch.testing.assert_close(found.total, wanted, atol=1e-4, rtol=1e-5)
    learning = [one for one in model.parameters() if one.requires_grad]
    fast, slow = (
        torch.autograd.grad(loss, learning, allow_unused=True) for loss in (found.total, wanted)
    )
    for one, other in zip(fast, slow, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=2e-3, rtol=1e-3)


def test_a_state_sees_no_later_item_and_is_what_ranks(split):
    model = model_of(split, objective=ALL_COUNT)
    table = model.item_table()
    history = torch.tensor([[3, 9, 4, 12, 7]])
    whole = model.users(F.embedding(history, table), history != 0)
    for t in range(1, 5):
        other = history.clone()
        other[:, t:] = torch.tensor([20, 21, 22, 23])[: 5 - t]
        states = model.users(F.embedding(other, table), other != 0)
        torch.testing.assert_close(states[:, :t], whole[:, :t], atol=1e-5, rtol=1e-5)
        assert not torch.allclose(states[:, t:], whole[:, t:], atol=1e-3)
        query = model.ranker(table).encode(history[:, :t])
        torch.testing.assert_close(query, model.scorer.queries(whole[:, t - 1]), atol=1e-4, rtol=0)


def test_frozen_vectors_are_read_once_and_teach_nobody(split, monkeypatch):
    model = model_of(split, items="frozen")
    assert not model.item_model.learns()
    monkeypatch.setattr(type(model.item_model.reader), "items", None)
    batch = TrainingBatch(
        torch.tensor([[3, 9]]), torch.tensor([[9, 4]]), torch.tensor([1]), torch.arange(1, 9)
    )
    model.train().training_loss(batch).total.backward()
    taught = {name.split(".")[0] for name, one in model.named_parameters() if one.grad is not None}
    assert taught == {"items", "users", "scorer"}


def test_items_that_all_look_alike_are_refused_where_the_loss_would_be_zero(split):
    with pytest.raises(ConfigError, match=r"finds all items alike.*0\.99.*standardise=true"):
        model_of(split)
    assert model_of(split, standardise=True).items.mode == "joint"


def test_what_cannot_work_is_refused(split, tmp_path):
    with pytest.raises(ConfigError, match="nothing of the item model learns"):
        model_of(split, tuning={"kind": "frozen"})
    make_toy(["some words"], tmp_path / "toy", ToyOptions(width=12))
    with pytest.raises(ConfigError, match=r"reads vectors of 12 dimensions.*same width"):
        model_of(split, user_backbone=str(tmp_path / "toy"))


def test_signals_tell_the_scale_and_how_close_items_are(split):
    model = model_of(split, objective=ALL_COUNT).train()
    model.items(torch.tensor([0, 1, 2, 3]))
    vectors = F.normalize(model.items(torch.tensor([1, 2, 3])), dim=-1)
    close = (vectors @ vectors.T)[[0, 0, 1], [1, 2, 2]].mean()
    told = model.take_signals()
    assert told["scale"] == pytest.approx(1 / 0.07)
    assert told["mean cosine of items"] == pytest.approx(float(close.detach()), abs=1e-4)
    assert "mean cosine of items" not in model.take_signals()


def test_one_modality_alone():
    both = spec_of(inputs="both")
    assert both.alone("image").inputs == "image"
    assert spec_of().alone("image") is None
    assert spec_of().describe_loss() == "sampled-softmax, 256 negatives"


OPTIONS = TrainOptions(epochs=2, batch_size=10, device="cpu", learning_rate=1e-3)


@pytest.mark.parametrize(
    "change", [{"objective": ALL_COUNT, "dropout": 0.3}, {"standardise": True}], ids=str
)
def test_a_run_cut_off_ends_bit_equal(split, tmp_path, monkeypatch, change):
    spec = spec_of(**change, tuning={"kind": "lora", "dropout": 0.2}, chunk=9)
    whole = fit(spec, split, tmp_path / "whole", options=OPTIONS, quiet=True)
    build, built = NextItemBatches.build, []

    def cut(self, window, epoch, step):
        built.append(step)
        if len(built) == 5:
            raise RuntimeError("power cut")
        return build(self, window, epoch, step)

    with monkeypatch.context() as patch:
        patch.setattr(NextItemBatches, "build", cut)
        with pytest.raises(RuntimeError, match="power cut"):
            fit(spec, split, tmp_path / "run", options=OPTIONS, quiet=True)
    again = fit(spec, split, tmp_path / "run", options=OPTIONS, quiet=True)
    assert same_weights(again, whole)
    assert again.info["metrics"] == whole.info["metrics"]
    assert math.isfinite(again.info["training"]["best_valid"])


def test_new_items_are_read_placed_and_stored(split, tmp_path):
    run = fit(spec_of(standardise=True), split, tmp_path / "run", options=OPTIONS, quiet=True)
    new = pl.DataFrame({"item_id": ["n1", "n2"], "title": ["title of i05", "quite another thing"]})
    grown = add_items(run, new)
    vectors = grown.item_vectors
    torch.testing.assert_close(vectors[:24], run.item_vectors)
    torch.testing.assert_close(vectors[24], run.item_vectors[6], atol=1e-4, rtol=0)
    assert not torch.allclose(vectors[25], vectors[24], atol=1e-2)
    grown.save(tmp_path / "grown")
    again = Run.load(tmp_path / "grown")
    history = ["i03", "n2"]
    table = recommend(again, history, k=30, filter_seen=False)
    assert table.equals(recommend(grown, history, k=30, filter_seen=False))
    assert {"n1", "n2"} < set(table["item_id"])
    with pytest.raises(DataError, match="Item 'n3' has none of what the model reads"):
        add_items(run, pl.DataFrame({"item_id": ["n3"], "title": [""]}))
