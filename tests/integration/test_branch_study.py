"""A study of two losses: resumes, shares its folder, and tells what each view is."""

from dataclasses import replace

import pytest
import torch
from tests.pictured import pictured_dataset

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.models import VLM2Rec
from vlmrec.pipeline import fit_once
from vlmrec.pipeline.branch_study import (
    FUSED,
    SHUFFLED,
    TEXT,
    VIEWS,
    format_differences,
    format_study,
    study_differences,
    study_folder,
    study_run,
    study_table,
    study_views,
)
from vlmrec.train.options import TrainOptions

PLAIN = VLM2Rec(backbone="tiny", max_len=3, wpcl=None, crtr=None)
VARIANTS = {"InfoNCE": PLAIN, "WPCL, kappa 1": VLM2Rec(backbone="tiny", max_len=3)}


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return pictured_dataset(tmp_path_factory.mktemp("pictures")).leave_one_out()


def options(seed=0, epochs=1):
    return TrainOptions(epochs=epochs, batch_size=6, device="cpu", seed=seed)


def test_a_study_is_its_folders(split, tmp_path, monkeypatch):
    for name, seed in (("InfoNCE", 0), ("InfoNCE", 1), ("WPCL, kappa 1", 0)):
        out = study_folder(tmp_path, name, seed)
        run = study_run(VARIANTS[name], split, out, options(seed), quiet=True)
    assert study_folder(tmp_path, "WPCL, kappa 1", 0).name == "wpcl-kappa-1-seed0"
    rows = study_table(tmp_path, VARIANTS, [0, 1, 2])
    assert [(row.variant, row.seeds) for row in rows] == [
        ("InfoNCE", (0, 1)),
        ("WPCL, kappa 1", (0,)),
    ]
    assert set(rows[0].estimates) == set(VIEWS)
    assert rows[1].estimates[FUSED].mean == pytest.approx(_mean(run))
    assert "WPCL, kappa 1" in format_study(rows)
    assert study_differences(rows, "InfoNCE") == {}  # other seeds
    rows = study_table(tmp_path, VARIANTS, [0])
    differences = study_differences(rows, "InfoNCE")
    gain = rows[1].estimates[FUSED].mean - rows[0].estimates[FUSED].mean
    found = differences["WPCL, kappa 1"][FUSED]
    assert found.mean == pytest.approx(gain)
    assert found.low <= found.mean <= found.high
    assert f"fused {found.mean:+.4f}" in format_differences(differences, "InfoNCE")
    assert rows[0].to_json()["views"][FUSED]["seeds"] == list(rows[0].by_seed[FUSED])
    monkeypatch.setattr(fit_once, "fit", None)  # what is finished is not trained again
    study_run(PLAIN, split, study_folder(tmp_path, "InfoNCE", 1), options(1), quiet=True)
    with pytest.raises(DataError, match="holds a run with other options"):
        study_run(PLAIN, split, study_folder(tmp_path, "InfoNCE", 1), options(1, 2), quiet=True)


def _mean(run):
    return run.info["metrics"]["test"]["metrics"]["NDCG@10"]["mean"]


def test_views_are_what_they_say(split, tmp_path):
    run = study_run(PLAIN, split, tmp_path / "run", options(epochs=0), quiet=True)
    views, past = study_views(run), torch.tensor([[4, 6, 0]])

    def scores(name):
        return views[name].score(views[name].encode(past), 4, 11)

    assert torch.allclose(scores(FUSED), run.ranker().score(run.ranker().encode(past), 4, 11))
    assert not torch.allclose(scores(SHUFFLED), scores(FUSED), atol=1e-3)
    assert views[TEXT].item_vectors.shape[1] == run.model.vlm.width
    with pytest.raises(ConfigError, match="has no branches to compare"):
        study_views(replace(run, model=torch.nn.Identity()))
