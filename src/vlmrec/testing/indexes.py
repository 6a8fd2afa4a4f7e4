"""What every index must do; a new one passes by subclassing the suite in its tests."""

from abc import abstractmethod
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from vlmrec.core.errors import ConfigError
from vlmrec.core.inner_product import InnerProduct, as_they_are
from vlmrec.index.recall import recall_at
from vlmrec.index.search import Found, Index, Limits, everything

N_ITEMS, WIDTH = 2000, 16
_QUERIES = 40


class VectorTable:
    """A ranker over given keys; satisfies `vlmrec.core.inner_product.KeyedRanker`.

    Args:
        keys: ``[I + 1, W]``.
    """

    max_len = 1
    device = torch.device("cpu")

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.keys) - 1

    def encode(self, histories: Tensor) -> Tensor:
        """Returns ``[B, W]``, the keys of the first items."""
        return self.keys[histories[:, 0]]

    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start]`` inner products."""
        return queries @ self.keys[start:stop].T

    def inner_product(self) -> InnerProduct:
        """Returns the keys."""
        return InnerProduct(self.keys, as_they_are)


def grouped_keys(
    n_items: int = N_ITEMS, width: int = WIDTH, seed: int = 0, groups: int = 50
) -> Tensor:
    """Returns ``[I + 1, W]`` keys that lie in groups and differ in length, as learned ones do."""
    drawn = torch.Generator().manual_seed(seed)
    centres = torch.randn(groups, width, generator=drawn)
    group = torch.randint(groups, (n_items + 1,), generator=drawn)
    keys = centres[group] + 0.7 * torch.randn(n_items + 1, width, generator=drawn)
    keys *= 0.5 + torch.rand(n_items + 1, 1, generator=drawn)
    keys[0] = 0.0
    return keys


def sorted_best(keys: Tensor, queries: Tensor, k: int, limits: Limits) -> Found:
    """Returns the best items by sorting everything, one query at a time: the plain oracle."""
    items = torch.zeros(len(queries), k, dtype=torch.int64)
    scores = torch.full((len(queries), k), float("-inf"))
    for row, query in enumerate(queries):
        hidden = set() if limits.excluded is None else set(limits.excluded[row].tolist())
        left = [
            (-float(query @ keys[item]), item)
            for item in range(1, len(keys))
            if item not in hidden and (limits.allowed is None or bool(limits.allowed[item]))
        ]
        for place, (lost, item) in enumerate(sorted(left)[:k]):
            items[row, place], scores[row, place] = item, -lost
    return Found(items, scores)


class IndexContract:
    """The promises of `vlmrec.index.search.Index`."""

    recall: ClassVar[float] = 1.0
    """Least share of the true 10 best that must be found on keys in groups."""

    @abstractmethod
    def make_index(self, table: VectorTable) -> Index:
        """Returns an index of the table's items."""

    def setup_method(self) -> None:
        """Builds an index of keys in groups."""
        self.keys = grouped_keys()
        self.index = self.make_index(VectorTable(self.keys))
        self.queries = torch.randn(_QUERIES, WIDTH, generator=torch.Generator().manual_seed(1))

    def test_finds_the_best(self) -> None:
        """Nearly all of the 10 best, best first, each with its own score."""
        found = self.index.search(self.queries, 10)
        truth = sorted_best(self.keys, self.queries, 10, Limits())
        assert recall_at(found.scores, truth.scores, [10])[10] >= self.recall
        own = torch.einsum("bd,bkd->bk", self.queries, self.keys[found.items])
        torch.testing.assert_close(found.scores, own)
        assert (found.scores.diff(dim=1) <= 0).all()

    def test_one_query_is_answered_as_in_a_batch(self) -> None:
        """Who else asks changes nothing."""
        together = self.index.search(self.queries, 10)
        for row in (0, 7, _QUERIES - 1):
            alone = self.index.search(self.queries[row : row + 1], 10)
            assert alone.items[0].tolist() == together.items[row].tolist()

    @pytest.mark.parametrize("share", [0.002, 0.03, 0.3, 0.9])
    def test_only_allowed_items_are_found_and_as_many_as_there_are(self, share: float) -> None:
        """However few are allowed, lists are full as long as there is something to list."""
        allowed = torch.rand(N_ITEMS + 1, generator=torch.Generator().manual_seed(2)) < share
        allowed[0] = True  # padding is never an item, whatever is said of it
        k = 25
        found = self.index.search(self.queries, k, Limits(allowed))
        there = min(k, int(allowed[1:].sum()))
        assert ((found.items > 0).sum(dim=1) == there).all()
        assert allowed[found.items].all()
        assert (found.items[:, there:] == 0).all()
        assert torch.isneginf(found.scores[:, there:]).all()
        truth = sorted_best(self.keys, self.queries, k, Limits(allowed))
        assert recall_at(found.scores, truth.scores, [there])[there] >= self.recall - 0.02

    def test_excluded_items_are_not_found_and_others_take_their_places(self) -> None:
        """Each query excludes what it likes best."""
        best = self.index.search(self.queries, 30).items
        excluded = best.clone()
        excluded[::2, 10:] = 0  # some exclude fewer
        excluded[1::2, 0] = excluded[1::2, 1]  # and some name an item twice
        found = self.index.search(self.queries, 12, Limits(excluded=excluded))
        assert (found.items > 0).all()
        for row in range(_QUERIES):
            assert not set(found.items[row].tolist()) & set(excluded[row].tolist())
        truth = sorted_best(self.keys, self.queries, 12, Limits(excluded=excluded))
        assert recall_at(found.scores, truth.scores, [12])[12] >= self.recall - 0.02

    def test_all_limits_together_leave_what_is_left(self) -> None:
        """Three items allowed, one of them excluded."""
        allowed = torch.zeros(N_ITEMS + 1, dtype=torch.bool)
        allowed[[5, 900, 1777]] = True
        excluded = torch.full((_QUERIES, 2), 900)
        found = self.index.search(self.queries, 4, Limits(allowed, excluded))
        assert (found.items.sort(dim=1).values == torch.tensor([0, 0, 5, 1777])).all()

    def test_nothing_allowed_finds_nothing(self) -> None:
        """An empty list is an answer."""
        found = self.index.search(self.queries, 3, Limits(~everything(N_ITEMS)))
        assert (found.items == 0).all()
        assert torch.isneginf(found.scores).all()

    def test_longer_lists_than_there_are_items(self) -> None:
        """Every item once, then places without one."""
        found = self.index.search(self.queries[:3], N_ITEMS + 5)
        assert (found.items[:, :N_ITEMS].sort(dim=1).values == torch.arange(1, N_ITEMS + 1)).all()
        assert (found.items[:, N_ITEMS:] == 0).all()

    def test_no_queries_have_no_answers(self) -> None:
        """An empty batch is no special case for callers."""
        found = self.index.search(self.queries[:0], 10)
        assert found.items.shape == found.scores.shape == (0, 10)

    def test_equal_items_stand_in_the_order_of_their_ids(self) -> None:
        """Ties are decided the same way every time."""
        keys = self.keys.clone()
        keys[[40, 41, 1500]] = 3 * keys[7]
        found = self.make_index(VectorTable(keys)).search(keys[[7, 7]], 3)
        assert found.items.tolist() == [[40, 41, 1500]] * 2

    def test_a_score_that_is_no_number_is_refused(self) -> None:
        """NaN would look like the best item."""
        with pytest.raises(FloatingPointError, match="cannot be ranked"):
            self.index.search(torch.full((2, WIDTH), float("nan")), 5)

    def test_lists_without_a_place_are_refused(self) -> None:
        """The message says what was given."""
        with pytest.raises(ConfigError, match="k was given as 0; expected at least 1"):
            self.index.search(self.queries, 0)
