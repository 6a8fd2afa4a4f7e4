"""VLM2Rec, reading words and pictures, solves the world of two tastes; dealt content fails."""

import numpy as np
import pytest
import torch

from vlmrec.core.content_change import ContentChange
from vlmrec.core.protocols import Ranker
from vlmrec.data.two_tastes import TwoTastesConfig
from vlmrec.evaluation.evaluator import evaluate_ranker
from vlmrec.models.two_branches import TwoBranchRecommender
from vlmrec.pipeline.branch_losses import PLAIN
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.two_tastes import TRAINING, make_two_tastes, two_tastes_models

pytestmark = pytest.mark.slow


def test_it_is_solved_by_content_and_by_nothing_else(tmp_path):
    small = TwoTastesConfig(n_items=150, n_users=900)
    split = make_two_tastes(tmp_path / "world", 3, small).leave_one_out()
    spec = two_tastes_models(tmp_path / "world")[PLAIN].model_copy(update={"max_len": 5})
    options = TRAINING.model_copy(
        update={"epochs": 20, "valid_every": 20, "batch_size": 128, "learning_rate": 2e-3}
    )
    model = fit(spec, split, tmp_path / "run", options=options, filter_seen=True).model
    assert isinstance(model, TwoBranchRecommender)

    def ndcg(view: Ranker) -> float:
        found = evaluate_ranker(view, split.test, metrics=["NDCG@10"], filter_seen=True)
        return found.metrics["NDCG@10"].mean

    n = model.reader.n_items
    deal = torch.as_tensor(np.concatenate([[0], np.random.default_rng(0).permutation(n) + 1]))
    dealt = {name: ContentChange(shown=deal) for name in model.modalities}
    chance = 4.544 / (n - 11)  # the sum of ten discounts, over the items that are ranked
    assert ndcg(model.ranker_with({})) > 4 * chance
    assert ndcg(model.ranker_with({"image": ContentChange.absent(n)})) > 3 * chance
    assert ndcg(model.ranker_with(dealt)) < 1.6 * chance
