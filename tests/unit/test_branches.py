"""Items and histories that lack a modality: compared by the other one, on the same scale."""

import pytest
import torch
from torch.nn import functional as F

from vlmrec.models.branch_ranker import BranchRanker
from vlmrec.models.branches import Branches, mean_of_cosines
from vlmrec.models.catalog_reader import CatalogReader, ReadingOptions

NAMES = ("text", "image")


def unit(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def test_the_sum_decomposes_into_branches_and_cross_terms():
    asked, told = unit(4, 2, 5), unit(3, 2, 5, seed=1)
    queries, keys = Branches(NAMES, asked), Branches(NAMES, told)
    inner = torch.einsum("bpd,cqd->bpcq", asked, told)
    lengths = asked.sum(1).norm(dim=-1)[:, None] * told.sum(1).norm(dim=-1)
    fused = queries.fused() @ keys.fused().T
    assert torch.allclose(fused, inner.sum(dim=(1, 3)) / lengths)
    mean = (inner[:, 0, :, 0] + inner[:, 1, :, 1]) / 2
    assert torch.allclose(mean_of_cosines(queries, keys), mean)


@pytest.mark.parametrize("readout", ["cosine", "sum"])
def test_without_a_modality_the_other_one_decides_on_the_same_scale(readout):
    same = unit(1, 1, 5).expand(1, 2, 5)  # both branches say the same
    whole, words, sight = same.clone(), same.clone(), same.clone()
    words[:, 1], sight[:, 0] = 0, 0
    rows = Branches(NAMES, torch.cat([whole, words, sight]))
    scores = mean_of_cosines(rows, rows) if readout == "sum" else rows.fused() @ rows.fused().T
    assert torch.allclose(scores, torch.ones(3, 3, dtype=scores.dtype))


def test_sum_readout_uses_what_query_and_key_share():
    queries, keys = Branches(NAMES, unit(2, 2, 5)), Branches(NAMES, unit(2, 2, 5, seed=1))
    queries.vectors[0, 1] = 0  # words only
    keys.vectors[1, 0] = 0  # a picture only
    scores = mean_of_cosines(queries, keys)
    assert scores[0, 0] == pytest.approx(float(queries.vectors[0, 0] @ keys.vectors[0, 0]))
    assert scores[1, 1] == pytest.approx(float(queries.vectors[1, 1] @ keys.vectors[1, 1]))
    across = queries.vectors[0, 0] @ keys.vectors[1, 1]
    assert scores[0, 1] == pytest.approx(float(across))


def test_items_that_cannot_be_read_come_last():
    options = ReadingOptions(NAMES, "", "", 5, True, 8)
    reader = CatalogReader(None, options, ["", "a", "b", "c"], [None] * 4)  # type: ignore[arg-type]
    vectors = unit(4, 2, 5, seed=3).float()
    vectors[0], vectors[2] = 0, 0
    query = -vectors[[1]].flatten(1)
    for readout in ("cosine", "sum"):
        ranker = BranchRanker(reader, vectors.flatten(1), readout, 5)
        scores = ranker.score(query, 1, 4)
        assert scores[0, 0] == pytest.approx(-1, abs=1e-6)
        assert scores[0, 1] == -1
        assert scores[0, 2] > -1
