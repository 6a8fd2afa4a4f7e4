"""What lifts new items, on scores that can be read off."""

import numpy as np
import pytest
import torch

from vlmrec.core.growing import GrowingTable
from vlmrec.core.protocols import PersonalRanker
from vlmrec.data.sequences import Sequences
from vlmrec.data.splits import cases_at
from vlmrec.evaluation.help_grid import ranks_with_help
from vlmrec.evaluation.lifting import (
    KnownLists,
    lifted,
    offset_for_exposure,
    places_bought,
)
from vlmrec.evaluation.quota import Quota
from vlmrec.evaluation.ranking import rank_targets
from vlmrec.items.content_tower import RawContent
from vlmrec.items.neighbours import lean_on_neighbours
from vlmrec.pipeline.new_items import NewItems, exposure_of

N_ITEMS, N_NEW = 30, 6
NEW = np.arange(N_ITEMS + 1) > N_ITEMS - N_NEW


class TableRanker:
    """Scores of a history are those of its last item, times what a user adds."""

    n_items, max_len, device = N_ITEMS, 3, torch.device("cpu")

    def __init__(self, seed=0, *, drop=3.0):
        self.table = torch.randn(N_ITEMS + 1, N_ITEMS + 1, generator=torch.manual_seed(seed))
        self.table[:, NEW] -= drop

    def encode(self, histories):
        last = (histories != 0).sum(dim=1) - 1
        return self.table[histories.gather(1, last[:, None])[:, 0]]

    def score(self, queries, start, stop):
        return queries[:, start:stop]


class PersonalTableRanker(TableRanker):
    def encode_users(self, histories, users):
        return self.encode(histories) * users[:, None]


@pytest.fixture
def cases():
    rng = np.random.default_rng(0)
    items = rng.integers(1, N_ITEMS + 1, size=200).astype(np.int32)
    events = Sequences(items, np.arange(0, 201, 4), np.zeros(200, np.int64)).whole()
    return cases_at(events, events.start, events.stop - 1)


def test_a_lifted_ranker_adds_the_offset_to_new_items_alone():
    plain = TableRanker()
    view = lifted(plain, NEW, 2.5)
    queries = view.encode(torch.tensor([[1, 2], [3, 0]]))
    before, after = plain.score(queries, 4, 31), view.score(queries, 4, 31)
    new = torch.as_tensor(NEW[4:])
    torch.testing.assert_close(after[:, new], before[:, new] + 2.5)
    assert torch.equal(after[:, ~new], before[:, ~new])
    assert (view.n_items, view.max_len) == (30, 3)
    assert not isinstance(view, PersonalRanker)
    personal = lifted(PersonalTableRanker(), NEW, 2.5)
    assert isinstance(personal, PersonalRanker)
    users = torch.tensor([1, 2])
    assert torch.equal(
        personal.encode_users(torch.tensor([[1], [1]]), users)[1], 2 * plain.table[1]
    )


@pytest.mark.parametrize("wanted", [1, 17, 100])
def test_an_offset_buys_as_many_places_as_it_says(wanted):
    ranker, histories = TableRanker(), np.arange(1, 25)[:, None]
    bought = places_bought(ranker, histories, NEW)
    offset = float(np.nextafter(bought[wanted - 1], np.float32(np.inf)))
    scores = lifted(ranker, NEW, offset).score(ranker.encode(torch.as_tensor(histories)), 1, 31)
    scores[torch.arange(24), torch.arange(24)] = float("-inf")  # the history itself
    shown = scores.topk(10, dim=1).indices + 1
    assert NEW[shown.numpy()].sum() == wanted
    fewer = lifted(ranker, NEW, float(bought[wanted - 1]) - 1e-4)
    scores = fewer.score(ranker.encode(torch.as_tensor(histories)), 1, 31)
    scores[torch.arange(24), torch.arange(24)] = float("-inf")
    assert NEW[scores.topk(10, dim=1).indices.numpy() + 1].sum() == wanted - 1


def test_exposure_counts_places_by_the_number_of_new_items():
    # 24 lists of 10 places; 6 of 30 items are new: their right by number are 48 places.
    bought = np.arange(100, dtype=np.float32)
    assert offset_for_exposure(bought, 1.0, 24, 0.2) == pytest.approx(48, abs=1e-4)
    assert offset_for_exposure(bought, 0.5, 24, 0.2) == pytest.approx(24, abs=1e-4)
    assert offset_for_exposure(bought, 9.0, 24, 0.2) == pytest.approx(99, abs=1e-4)


def test_options_say_how_far_new_items_are_lifted():
    n_train = np.where(NEW, 0, 7)
    n_train[0] = 0
    ranker = TableRanker()
    offset = NewItems(exposure=0.5).offset_over(ranker, n_train, NEW)
    assert 0 < offset < NewItems(exposure=1.0).offset_over(ranker, n_train, NEW)
    assert offset == NewItems(exposure=0.5).offset_over(ranker, n_train, NEW)
    assert NewItems(offset=-1.5).offset_over(ranker, n_train, NEW) == -1.5
    assert NewItems(exposure=0).offset_over(ranker, n_train, NEW) == 0
    assert NewItems(quota=0.1).offset_over(ranker, n_train, NEW) == 0
    # Items that are shown often enough as they are stay as they are.
    assert NewItems(exposure=0.5).offset_over(TableRanker(drop=-3.0), n_train, NEW) == 0
    # Nor are they shown less often than their own vectors would be.
    own = TableRanker(drop=0.5)
    least = exposure_of(own, n_train, NEW)
    assert 0.1 < least
    kept = NewItems(exposure=0.1).offset_over(ranker, n_train, NEW, own=own)
    assert kept == NewItems(exposure=least).offset_over(ranker, n_train, NEW)
    assert least <= exposure_of(lifted(ranker, NEW, kept), n_train, NEW) < least + 0.03
    # Only what competes counts.
    none_new = np.flatnonzero(~NEW)[1:]
    assert NewItems().offset_over(ranker, n_train, NEW, none_new) == 0


@pytest.mark.parametrize("candidates", [None, np.arange(3, 31)])
def test_a_grid_of_help_is_what_ranking_one_by_one_finds(cases, candidates):
    if candidates is not None:
        cases = cases.subset(cases.targets >= 3)
    ranker = TableRanker()
    found = ranks_with_help(
        ranker, cases, NEW, offsets=(0.0, 3.0), quotas=(0.25,), candidates=candidates
    )
    one_by_one = [
        rank_targets(ranker, cases, candidates=candidates),
        rank_targets(lifted(ranker, NEW, 3.0), cases, candidates=candidates),
        rank_targets(ranker, cases, candidates=candidates, quota=Quota(NEW, 0.25)),
    ]
    np.testing.assert_array_equal(found, np.column_stack([one.ranks for one in one_by_one]))
    assert (found[:, 0] != found[:, 1]).any()
    assert (found[:, 0] != found[:, 2]).any()


def test_a_mixed_list_is_what_the_ranks_speak_of(cases):
    result = rank_targets(
        TableRanker(), cases, quota=Quota(NEW, 0.3), top_k=10, filter_seen=True, also_filtered=True
    )
    assert (NEW[result.top_items].sum(axis=1) == 3).all()
    assert NEW[result.top_items[:, [3, 6, 9]]].all()
    listed = result.ranks <= 10
    assert listed.any()
    places = result.ranks[listed].astype(int) - 1
    np.testing.assert_array_equal(result.top_items[listed, places], cases.targets[listed])
    np.testing.assert_array_equal(result.filtered, result.ranks)


def test_leaning_is_a_weighted_mean_of_the_nearest():
    known = RawContent(
        torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [9.0, 9.0]]),
        torch.tensor([True, True, True, True, False]),
    )
    vectors = torch.eye(5)
    new = RawContent(torch.tensor([[2.0, 0.0], [5.0, 5.0]]), torch.tensor([True, False]))
    own = torch.full((2, 5), 0.5)
    found = lean_on_neighbours(own, new, vectors, known, neighbours=2, lean=0.75)
    # Cosines 1 and 0 (the first of two equals): weights e^10 : 1.
    nearest = 1 / (1 + np.exp(-10.0))
    assert found[0, 0].item() == pytest.approx(0.125 + 0.75 * nearest, abs=1e-6)
    assert found[0].sum().item() == pytest.approx(0.25 * 2.5 + 0.75, abs=1e-6)
    assert found[0, 4].item() == 0.125  # an item without words is nobody's neighbour
    assert torch.equal(found[1], own[1])  # and has none
    for off in ({"neighbours": 0, "lean": 0.75}, {"neighbours": 2, "lean": 0.0}):
        assert torch.equal(lean_on_neighbours(own, new, vectors, known, **off), own)
    everyone = lean_on_neighbours(own, new, vectors, known, neighbours=99, lean=1.0)
    assert everyone[0].sum().item() == pytest.approx(1.0, abs=1e-6)


def test_lists_of_known_items_tell_what_new_ones_buy_without_scoring_all_again():
    generator = torch.Generator().manual_seed(3)
    vectors = torch.randn(61, 6, generator=generator)
    vectors[0] = 0
    new = np.arange(61) > 48
    histories = np.array([[3, 0], [7, 9], [48, 0], [1, 2]])

    class Table:
        max_len, device = 2, torch.device("cpu")

        def __init__(self, table):
            self.table, self.n_items = table, len(table) - 1

        def encode(self, histories):
            return self.table[histories].sum(dim=1)

        def score(self, queries, start, stop):
            return queries @ self.table[start:stop].T

    lists = KnownLists(Table(vectors[:49]), histories, 48)
    alone = Table(torch.cat([vectors[:1], vectors[49:]]))
    expected = places_bought(Table(vectors), histories, new)
    assert len(expected) == 40
    np.testing.assert_allclose(lists.places_bought(alone), expected, rtol=1e-5, atol=1e-5)
    few = Table(torch.cat([vectors[:1], vectors[49:52]]))
    assert len(lists.places_bought(few)) == 12


def test_a_table_grows_without_changing_what_was_given_out():
    table, first = GrowingTable(), torch.arange(6.0).view(3, 2)
    one = table.longer(first, torch.full((1, 2), 7.0))
    two = table.longer(one, torch.full((400, 2), 8.0))  # no room: copied
    three = table.longer(two, torch.full((2, 2), 9.0))  # there is room now
    other = table.longer(two, torch.full((1, 2), 5.0))  # not the latest: copied
    assert three.data_ptr() == two.data_ptr() != other.data_ptr()
    assert three[-3:, 0].tolist() == [8, 9, 9]
    assert other[-2:, 0].tolist() == [8, 5]
    assert one.tolist() == [*first.tolist(), [7, 7]]
    assert len(two) == 404
