"""A dataset without defects passes every check; one planted defect is found by its check."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from PIL import Image

from vlmrec.data.checks.check import judge
from vlmrec.data.checks.filtering import cut_edge
from vlmrec.data.checks.popularity import popularity_ranks
from vlmrec.data.dataset import Dataset
from vlmrec.data.inspection import inspect_dataset

N_USERS, N_ITEMS, LENGTH = 200, 40, 8
DAY = 86_400
LATE = LENGTH * DAY


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    """Returns histories in which most items have one that follows; all are active at once."""
    rng = np.random.default_rng(0)
    after = rng.permutation(N_ITEMS)
    rows = []
    for user in range(N_USERS):
        item, seen = int(rng.integers(N_ITEMS)), set()
        for k in range(LENGTH):
            seen.add(item)
            rows.append((f"u{user}", f"i{item:02d}", k * DAY + user))
            left = [other for other in range(N_ITEMS) if other not in seen]
            item = int(after[item])
            if item in seen or rng.random() < 0.5:
                item = int(rng.choice(left))
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")


@pytest.fixture
def items() -> pl.DataFrame:
    ids = [f"i{k:02d}" for k in range(N_ITEMS)]
    titles = [f"thing {chr(97 + k % 26)}{k} of kind {chr(97 + k // 3)}" for k in range(N_ITEMS)]
    return pl.DataFrame({"item_id": ids, "title": titles, "description": titles})


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(1)
    for k in range(N_ITEMS):
        tiny = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        tiny.resize((64, 64), Image.Resampling.BICUBIC).save(tmp_path / f"i{k:02d}.png")
    return tmp_path


def card_of(dataset: Dataset) -> dict:
    return {check.name: check for check in inspect_dataset(dataset).card}


def test_data_without_defects_pass(log, items, pictures):
    card = card_of(Dataset.from_frames(log, items, pictures))
    assert {name: check.found for name, check in card.items() if check.verdict != "pass"} == {}
    assert all(not check.advice for check in card.values())


def _change(log: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    return log.with_columns(**columns)


def _nth(k: int) -> pl.Expr:
    return pl.int_range(pl.len()).over("user_id") == k


LAST, FIRST = _nth(LENGTH - 1), pl.col("item_id").first().over("user_id")
USER = pl.col("user_id").str.slice(1).cast(pl.Int64)
DEFECTS: dict[str, tuple[str, str, Callable[[pl.DataFrame], pl.DataFrame]]] = {
    "last two at once": (
        "tied times",
        "warn",
        lambda log: _change(
            log,
            timestamp=pl.when(LAST).then(pl.col("timestamp") - DAY).otherwise(pl.col("timestamp")),
        ),
    ),
    "sorted by id within a day": (
        "tied times",
        "fail",
        lambda log: _change(log, timestamp=pl.lit(0)).sort("user_id", "item_id"),
    ),
    "every row twice": ("exact duplicates", "fail", lambda log: pl.concat([log, log])),
    "the first item again": (
        "repeated pairs",
        "warn",
        lambda log: _change(log, item_id=pl.when(_nth(3)).then(FIRST).otherwise(pl.col("item_id"))),
    ),
    "the first item as target": (
        "targets in history",
        "warn",
        lambda log: _change(log, item_id=pl.when(LAST).then(FIRST).otherwise(pl.col("item_id"))),
    ),
    "half the users once more": (
        "users under two ids",
        "fail",
        lambda log: pl.concat(
            [log, _change(log.filter(USER < 100), user_id="twin of " + pl.col("user_id"))]
        ),
    ),
    "some users a week later": (
        "future in training",
        "warn",
        lambda log: _change(
            log, timestamp=pl.col("timestamp") + pl.when(USER < 20).then(LATE).otherwise(0)
        ),
    ),
    "targets that nobody else had": (
        "targets unseen in training",
        "warn",
        lambda log: _change(
            log,
            item_id=pl.when(LAST & (USER < 10)).then("user_id").otherwise(pl.col("item_id")),
        ),
    ),
    "the order shuffled": (
        "shuffle test",
        "warn",
        lambda log: log.with_columns(
            timestamp=pl.col("timestamp").shuffle(seed=0).over("user_id")
        ).sort("user_id", "timestamp"),
    ),
    "most targets are one item": (
        "unequal interactions",
        "warn",
        lambda log: _change(
            log,
            item_id=pl.when((_nth(1) | LAST) & (USER < 150))
            .then(pl.lit("i00"))
            .otherwise(pl.col("item_id")),
        ),
    ),
    "two events a user": ("test targets", "fail", lambda log: log.filter(_nth(0) | _nth(1))),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_of_the_events_is_found(log, defect):
    name, verdict, plant = DEFECTS[defect]
    check = card_of(Dataset.from_frames(plant(log)))[name]
    assert check.verdict == verdict, check
    assert check.advice


def test_without_test_targets_their_checks_are_skipped(log):
    card = card_of(Dataset.from_frames(log.filter(_nth(0) | _nth(1))))
    verdicts = {name: card[name].verdict for name in ("future in training", "shuffle test")}
    assert set(verdicts.values()) == {"skipped"}


def test_positions_in_a_line_are_not_judged_as_times(log):
    at_once = Dataset.from_frames(_change(log, timestamp=pl.lit(0)))
    card = card_of(replace(at_once, manifest={"source": {"kind": "sequences"}}))
    assert card["tied times"].verdict == card["future in training"].verdict == "skipped"


def test_the_sorting_of_ties_compares_numbers_as_numbers():
    # 9 < 10 < 11 as numbers, but not as text.
    rows = [(f"u{u}", str(k), 0) for u in range(60) for k in (9, 10, 11)]
    rows += [(f"v{u}", str(k), k) for u in range(9) for k in range(9)]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    check = card_of(Dataset.from_frames(log))["tied times"]
    assert check.verdict == "fail"
    assert (check.figures["tied_pairs"], check.figures["in_order_of_ids"]) == (120, 1.0)


class TestKCore:
    def test_a_filter_in_the_manifest_is_named_and_what_it_would_take(self, log):
        dataset = Dataset.from_frames(log)
        stated = {"source": {"cleaning": {"min_user": 7, "min_item": 1, "min_history": 3}}}
        check = card_of(replace(dataset, manifest=stated))["k-core before split"]
        assert check.verdict == "warn"
        assert "only users from 7 events on were kept (stated)" in check.found
        # Every user has 6 training events: with 7 asked for, nothing would be left.
        assert check.figures["users_more"] == N_USERS
        assert check.figures["items_more"] == N_ITEMS
        assert check.figures["targets_lost"] == N_USERS

    def test_the_three_events_that_leave_one_out_needs_are_no_filter(self, log):
        stated = {"source": {"cleaning": {"min_user": 1, "min_item": 1, "min_history": 3}}}
        check = card_of(replace(Dataset.from_frames(log), manifest=stated))["k-core before split"]
        assert check.verdict == "pass"

    @pytest.mark.parametrize(
        ("counts", "edge"),
        [
            (np.random.default_rng(0).geometric(0.1, 1000), 1),
            (np.random.default_rng(0).geometric(0.1, 1000) + 4, 5),
            (np.random.default_rng(0).geometric(0.02, 1000) + 19, 20),
            (np.random.default_rng(0).poisson(50, 1000) + 10, 1),
            (np.random.default_rng(0).integers(8, 17, 1000), 1),
            (np.array([5, 5, 5, 20]), 1),
        ],
    )
    def test_an_edge_is_told_from_a_heap(self, counts, edge):
        assert cut_edge(counts) == edge


class TestContents:
    @pytest.fixture
    def check(self, log, items, pictures):
        def check(name, items=items, images=pictures):
            return card_of(Dataset.from_frames(log, items, images))[name]

        return check

    def test_missing_words_and_pictures(self, check, items, pictures):
        rare = pl.col("item_id") < "i04"
        gone = [pl.when(rare).then(None).otherwise(pl.col(c)).alias(c) for c in items.columns[1:]]
        for k in range(4):
            (pictures / f"i{k:02d}.png").unlink()
        items = items.with_columns(gone)
        for name in ("items without words", "items without a picture"):
            line = check(name, items)
            assert (line.verdict, line.figures["items"]) == ("warn", 4)

    def test_damaged_pictures(self, check, pictures):
        for k in range(5):
            (pictures / f"i{k:02d}.png").write_bytes(b"no picture")
        assert check("unusable pictures").verdict == "fail"
        assert "5 of 40 (decoded): 5 not-a-picture" in check("unusable pictures").found

    def test_same_words_whatever_the_case(self, check, items):
        said = pl.when(pl.col("item_id") == "i01").then(pl.lit("\uff34hing  A0,\nof kind: a!"))
        items = items.with_columns(
            said.otherwise(pl.col(name)).alias(name) for name in ("title", "description")
        )
        line = check("items with same words", items)
        assert (line.verdict, line.figures["items"]) == ("warn", 2)
        assert "such as 'i00' and 'i01'" in line.found
        assert check("near-duplicate titles", items).figures["items"] == 0

    def test_one_picture_for_many(self, check, pictures):
        for k in range(1, 9):
            (pictures / f"i{k:02d}.png").write_bytes((pictures / "i00.png").read_bytes())
        line = check("items with same picture")
        assert (line.verdict, line.figures["items"]) == ("fail", 9)
        assert check("near-duplicate pictures").figures["items"] == 0

    def test_pictures_saved_again(self, check, pictures):
        with Image.open(pictures / "i00.png") as picture:
            picture.resize((48, 48)).convert("RGB").save(pictures / "i01.jpg", quality=60)
        (pictures / "i01.png").unlink()
        line = check("near-duplicate pictures")
        assert (line.verdict, line.figures["items"]) == ("warn", 2)
        assert check("items with same picture").verdict == "pass"

    def test_the_same_shape_in_another_colour_is_another_thing(self, check, pictures):
        with Image.open(pictures / "i00.png") as picture:
            red, green, blue = picture.split()
            Image.merge("RGB", (blue, green, red)).save(pictures / "i01.png")
        assert check("near-duplicate pictures").verdict == "pass"

    def test_titles_in_another_order(self, check, items):
        said = pl.when(pl.col("item_id") == "i01").then(pl.lit("kind of thing: a0 (A)"))
        line = check("near-duplicate titles", items.with_columns(title=said.otherwise("title")))
        assert (line.verdict, line.figures["items"]) == ("warn", 2)

    def test_cold_items_with_a_warm_twin(self, check, items):
        one, other = pl.int_range(pl.len()), "zz y" + pl.col("title").str.slice(6)
        pairs = items["title"].gather([k - k % 2 for k in range(N_ITEMS)])
        items = items.with_columns(title=pairs).with_columns(
            title=pl.when(one % 2 == 0).then("title").otherwise(other.str.replace("zz y", "thing "))
        )
        line = check("warm twins of cold items", items, None)
        assert line.verdict == "fail"
        assert line.figures["items"] == line.figures["items_by_words"] > 0


def test_shares_are_judged_by_what_they_exceed():
    assert [judge(s, fail=0.1) for s in (0.01, 0.011, 0.1, 0.11)] == [
        "pass",
        "warn",
        "warn",
        "fail",
    ]
    assert judge(1.0) == "warn"


def test_popularity_ranks_count_ties_half():
    counts = np.array([0, 5, 3, 3, 0])  # of padding and four items
    assert popularity_ranks(counts, np.array([1, 2, 3, 4])).tolist() == [1, 2.5, 2.5, 4]
