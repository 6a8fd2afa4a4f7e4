"""An ensemble of scores passes the suite of all recommenders, and averages what it should."""

import shutil

import numpy as np
import pytest
import torch

from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.data.dataset import Dataset
from vlmrec.models import FPMC, Ensemble, SASRec
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import Run
from vlmrec.testing.recommenders import RecommenderContract
from vlmrec.testing.worlds import small_items, small_log
from vlmrec.train.options import TrainOptions

BRIEF = TrainOptions(epochs=1, batch_size=7, device="cpu", learning_rate=0.05)


def members(dataset, folder):
    """Returns the run folders of an ID model that reads 8 items and one that knows users."""
    split = dataset.leave_one_out()
    folders = []
    for spec in (SASRec(dim=8, hidden=16, max_len=8), FPMC(dim=4, max_len=5)):
        out = folder / f"{spec.name}-{split.fingerprint}"
        if not out.exists():
            fit(spec, split, out, options=BRIEF, quiet=True)
        folders.append(str(out))
    return folders


class TestEnsemble(RecommenderContract):
    def make_spec(self, dataset, folder):
        return Ensemble(runs=tuple(members(dataset, folder)))


@pytest.fixture
def dataset():
    return Dataset.from_frames(small_log(8, 9), small_items(9))


def scores(ranker, histories, users):
    queries = (
        ranker.encode_users(histories, users)
        if hasattr(ranker, "encode_users")
        else ranker.encode(histories[:, -ranker.max_len :])
    )
    return ranker.score(queries, 1, ranker.n_items + 1).numpy()


def test_scores_are_the_weighted_mean_of_standardised_scores(dataset, tmp_path):
    runs = members(dataset, tmp_path)
    run = fit(Ensemble(runs=tuple(runs), weights=(3, 1)), dataset.leave_one_out(), quiet=True)
    histories, users = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([1, 2])
    parts = [scores(Run.load(one).ranker(), histories, users) for one in runs]
    wanted = sum(
        weight * (part - part.mean(axis=1, keepdims=True)) / part.std(axis=1, keepdims=True)
        for weight, part in zip((0.75, 0.25), parts, strict=True)
    )
    found = scores(run.ranker(), histories, users)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_run_folder_holds_its_members(dataset, tmp_path):
    runs = members(dataset, tmp_path)
    fit(Ensemble(runs=tuple(runs)), dataset.leave_one_out(), tmp_path / "both", quiet=True)
    before = Run.load(tmp_path / "both").ranker()
    for one in runs:
        shutil.rmtree(one)
    again = Run.load(tmp_path / "both").ranker()
    rows = torch.tensor([[1, 2]])
    assert torch.equal(before.encode(rows), again.encode(rows))
    assert not (tmp_path / "both" / "members" / "0" / "report.html").exists()


def test_members_of_another_split_are_refused(dataset, tmp_path):
    runs = members(dataset, tmp_path)
    with pytest.raises(ConfigError, match=r"'runs\.0' names .* trained on another split"):
        fit(Ensemble(runs=tuple(runs)), dataset.global_time(), quiet=True)


def test_a_member_that_is_not_there_is_said(dataset, tmp_path):
    with pytest.raises(ArtifactError, match=r"'runs\.0' names 'nowhere', which holds no finished"):
        fit(Ensemble(runs=("nowhere", "nowhere")), dataset.leave_one_out(), quiet=True)


def test_there_is_a_weight_for_each_member():
    with pytest.raises(ConfigError, match="1 weights for 2 runs"):
        Ensemble.parse({"runs": ["a", "b"], "weights": [1]}, "a test")
