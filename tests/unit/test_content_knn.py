"""Content-kNN against its definition, one pair of items at a time; and what it does with gaps."""

import numpy as np
import pytest
import torch

from vlmrec.core.errors import ConfigError, NotFittedError
from vlmrec.core.random import Streams
from vlmrec.items.content_tower import RawContent
from vlmrec.models import ContentKNN
from vlmrec.models.spec import CatalogShape, TrainingData
from vlmrec.testing.worlds import small_dataset

WIDTHS = {"text": 5, "image": 3}
N_ITEMS = 6


def content(seed: int = 0) -> dict[str, RawContent]:
    """Item 2 has no picture, item 5 nothing at all; all vectors have a large part in common."""
    made = {}
    for name, width in WIDTHS.items():
        vectors = 3 + torch.randn(N_ITEMS + 1, width, generator=Streams(seed).torch(name))
        present = torch.ones(N_ITEMS + 1, dtype=torch.bool)
        present[[0, 5] if name == "text" else [0, 2, 5]] = False
        made[name] = RawContent(vectors, present)
    return made


def fitted(known=(1, 2, 3, 5), **options):
    model = ContentKNN(**options).build(CatalogShape(N_ITEMS, WIDTHS))
    train = small_dataset().leave_one_out().train
    model.prepare(
        TrainingData(train, CatalogShape(N_ITEMS, WIDTHS), np.array(known), content=content())
    )
    return model


def plain(history: list[int], item: int, known=(1, 2, 3, 5)) -> float:
    scores = []
    for raw in content().values():
        mean = torch.stack([raw.vectors[i] for i in known if raw.present[i]]).mean(dim=0)
        own = [i for i in history if raw.present[i]]
        if not own or not raw.present[item]:
            continue
        other = [
            torch.cosine_similarity(raw.vectors[i] - mean, raw.vectors[item] - mean, dim=0)
            for i in own
            if i != item
        ]
        scores.append(sum(float(one) for one in other) / len(own))
    return sum(scores) / len(scores) if scores else 0.0


@pytest.mark.parametrize("history", [[1], [2], [1, 3, 2], [3, 3, 5], [5], [4, 2, 6]])
def test_scores_are_mean_cosines_over_what_both_have(history):
    ranker = fitted().ranker()
    padded = torch.tensor([[*history, 0, 0]])
    scores = ranker.score(ranker.encode(padded), 1, N_ITEMS + 1)[0]
    expected = torch.tensor([plain(history, item) for item in range(1, N_ITEMS + 1)])
    torch.testing.assert_close(scores, expected, atol=1e-6, rtol=1e-5)


def test_a_new_item_is_placed_as_if_it_had_been_there():
    """With the mean of the training items: what is new moves nothing that is old."""
    model = fitted()
    old = model.ranker()
    new = {name: RawContent(raw.vectors[4:5], raw.present[4:5]) for name, raw in content().items()}
    more = model.ranker(torch.cat([old.item_vectors, model.content_vectors(new)]))
    history = torch.tensor([[1, 3, 2]])
    scores = more.score(more.encode(history), 1, N_ITEMS + 2)[0]
    torch.testing.assert_close(scores[:N_ITEMS], old.score(old.encode(history), 1, N_ITEMS + 1)[0])
    assert scores[N_ITEMS] == pytest.approx(scores[3].item())
    grown = more.encode(torch.tensor([[7]]))  # it can stand in a history, and is not 4 itself
    assert grown[0, 4] == pytest.approx(1.0, abs=1e-5)
    assert grown[0, 7] == pytest.approx(0.0, abs=1e-5)


def test_what_cannot_be_ranked_is_said():
    with pytest.raises(ConfigError, match="text and image are both off"):
        ContentKNN.parse({"text": None, "image": None}, "a test")
    with pytest.raises(NotFittedError, match="no vectors yet"):
        ContentKNN().build(CatalogShape(N_ITEMS, WIDTHS)).ranker()
