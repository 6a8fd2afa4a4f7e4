"""CoLLM passes the suite of all recommenders in both steps and both ways of ranking."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from tests.contract.test_molar_contract import earlier

from vlmrec.core.errors import ConfigError
from vlmrec.models import FPMC, CoLLM, SASRec
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.recommenders import RecommenderContract
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions

SMALL = {"backbone": "tiny", "history": 3, "widening": 2, "max_words": 4, "chunk": 8}


def cf_run(split, folder: Path, *, personal: bool = False) -> str:
    """Returns the run folder of a collaborative model that reads 8 items."""
    spec = FPMC(dim=6) if personal else SASRec(dim=8, n_layers=1, hidden=16, max_len=8)
    return earlier(spec, split, folder)


class TestFirstStep(RecommenderContract):
    stored_endings = RecommenderContract.stored_endings | {".jinja", ".txt"}
    change: ClassVar[dict[str, Any]] = {}
    personal: ClassVar[bool] = False

    def make_spec(self, dataset, folder):
        cf = cf_run(dataset.leave_one_out(), folder, personal=self.personal)
        return CoLLM.parse({"cf": cf, **SMALL, **self.change}, "the model")

    test_a_known_user_is_ranked_as_trained = None  # its collaborative model knows no user


class TestSecondStep(TestFirstStep):
    change: ClassVar[dict[str, Any]] = {
        "objective": {"kind": "sampled-softmax", "n_negatives": 3, "shared_negatives": False},
    }

    def make_spec(self, dataset, folder):
        first = super().make_spec(dataset, folder)
        step_one = earlier(first, dataset.leave_one_out(), folder)
        return CoLLM.parse(first.model_dump() | {"step_one": step_one}, "the model")


class TestRetrievalSecondStep(TestSecondStep):
    change: ClassVar[dict[str, Any]] = {"mode": "retrieve"}
    personal = True
    test_a_known_user_is_ranked_as_trained = (
        RecommenderContract.test_a_known_user_is_ranked_as_trained
    )


class TestRetrievalThatTunesTheCollaborativeModel(TestSecondStep):
    change: ClassVar[dict[str, Any]] = {
        "mode": "retrieve",
        "objective": {"kind": "bpr", "n_negatives": 2},
    }

    def make_spec(self, dataset, folder):
        spec = super().make_spec(dataset, folder)
        return CoLLM.parse(spec.model_dump() | {"cf_learns": True}, "the model")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Returns a first and a second step, and their split."""
    folder = tmp_path_factory.mktemp("collm")
    split = small_dataset().leave_one_out()
    spec = CoLLM.parse({"cf": cf_run(split, folder), **SMALL, "n_candidates": 5}, "the model")
    options = TrainOptions(epochs=2, batch_size=7, device="cpu", learning_rate=0.01)
    first = fit(spec, split, folder / "one", options=options, quiet=True)
    second = spec.model_copy(update={"step_one": str(folder / "one")})
    return split, first, fit(second, split, folder / "two", options=options, quiet=True)


def test_only_candidates_are_asked_about_and_come_first(runs):
    split, _, run = runs
    ranker, retriever = run.ranker(), run.model.cf.model.ranker()
    cases = split.test
    past = torch.as_tensor(cases.histories.padded(range(len(cases)), 8))
    ours = ranker.score(ranker.encode(past), 1, ranker.n_items + 1)
    theirs = retriever.score(retriever.encode(past), 1, ranker.n_items + 1)
    best = theirs.topk(5).indices
    asked = run.model.ask(past, torch.zeros(len(past), dtype=torch.int64), best + 1).detach()
    assert torch.allclose(ours.gather(1, best), asked, atol=1e-5)
    for row in range(len(past)):
        order = ours[row].argsort(descending=True)
        assert set(order[:5].tolist()) == set(best[row].tolist())
        behind = theirs[row].argsort(descending=True)[5:]
        assert order[5:].tolist() == behind.tolist(), "the others keep their order"


def test_the_second_step_learns_the_mapping_alone(runs):
    _, first, second = runs
    one, two = first.model.vlm, second.model.vlm
    for name, weight in one.family.network.state_dict().items():
        assert torch.equal(weight, two.family.network.state_dict()[name]), name
    for name in one.learned.names:
        rows = [part.learned.table[part.learned.names.index(name)] for part in (one, two)]
        assert torch.equal(*rows), name
    assert {name.partition(".")[0] for name in second.model.own_weights()} == {"slots"}
    assert not first.model.own_weights()


def test_collaborative_vectors_reach_the_answer(runs):
    _, first, second = runs
    histories, items = torch.tensor([[3, 4, 5]]), torch.tensor([[6, 7]])
    nobody = torch.zeros(1, dtype=torch.int64)
    for run, told in ((first, False), (second, True)):
        table = run.model.cf._table
        before = run.model.ask(histories, nobody, items)
        kept = table.clone()
        table[6] *= -1.0
        after = run.model.ask(histories, nobody, items)
        table.copy_(kept)
        assert bool((before - after).abs()[0, 0] > 1e-4) == told
        assert torch.allclose(before[0, 1], after[0, 1], atol=1e-6)


def test_hard_negatives_are_candidates_that_the_user_has_not_chosen(runs):
    split, _, run = runs
    spec = run.spec.model_copy(update={"negatives_from": "candidates", "n_candidates": 4})
    from vlmrec.core.random import Streams
    from vlmrec.pipeline.learning import prepared_model

    model, data = prepared_model(spec, 0, split, {}, torch.device("cpu"))
    source = model.batches(data, Streams(0), batch_size=5, epochs=1)
    seen = {int(user): set() for user in split.train.users}
    for row, user in enumerate(split.train.users):
        part = slice(split.train.start[row], split.train.stop[row])
        seen[int(user)] |= set(split.train.sequences.items[part].tolist())
    retriever = run.model.cf.model.ranker()
    for step, window in enumerate(source.plan(0)):
        batch = source.build(window, 0, step)
        assert torch.equal(source.build(window, 0, step).negatives, batch.negatives)
        scores = retriever.score(retriever.encode(batch.items[:, -8:]), 1, data.shape.n_items + 1)
        for row, user in enumerate(batch.users.tolist()):
            picked = batch.negatives[row][batch.targets[row] != 0].flatten().tolist()
            assert len(picked) == 1
            order = [int(item) + 1 for item in scores[row].argsort(descending=True)]
            allowed = [item for item in order if item not in seen[user]][:4]
            assert set(picked) <= set(allowed)


def test_what_cannot_be_is_said(runs, tmp_path):
    split, first, second = runs
    cf = second.spec.cf
    with pytest.raises(ConfigError, match="Option 'cf' for a test is missing"):
        CoLLM.parse({}, "a test")
    with pytest.raises(ConfigError, match="needs an objective with negatives"):
        CoLLM.parse({"cf": cf, "objective": {"kind": "cross-entropy"}}, "a test")
    with pytest.raises(ConfigError, match="cf_learns is for the second step"):
        CoLLM.parse({"cf": cf, "cf_learns": True}, "a test")
    twice = second.spec.model_copy(update={"step_one": str(second.folder)})
    with pytest.raises(ConfigError, match="is a second step itself"):
        fit(twice, split, tmp_path / "twice", quiet=True)
    other = second.spec.model_copy(update={"mode": "retrieve"})
    with pytest.raises(ConfigError, match="trained with mode=rerank; this one has mode=retrieve"):
        fit(other, split, tmp_path / "other", quiet=True)
    elsewhere = small_dataset(seed=5).leave_one_out()
    with pytest.raises(ConfigError, match="trained on another split"):
        fit(first.spec, elsewhere, tmp_path / "elsewhere", quiet=True)
