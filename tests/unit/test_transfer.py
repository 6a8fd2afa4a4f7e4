"""Splits between catalogues: nothing of the one that is tested is learned from."""

import numpy as np
import polars as pl
import pytest
from tests.pictured import attributed_dataset, pictured_dataset

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.data.dataset import Dataset
from vlmrec.data.transfer import half_catalogue_split, transfer_split
from vlmrec.pipeline.scenarios import SCENARIOS, Scenario
from vlmrec.testing.worlds import small_dataset


def test_half_of_the_items_is_learned_from_and_the_other_tested():
    data = small_dataset(n_users=40)
    split = half_catalogue_split(data)
    tested, learned = set(split.test_candidates), set(split.training_items)
    assert not tested & learned
    assert len(tested) == data.n_items // 2
    assert tested | learned == set(range(1, data.n_items + 1))
    assert set(split.train.flat()) <= learned
    assert set(split.valid.histories.flat()) | set(split.valid.targets) <= learned
    assert set(split.test.histories.flat()) | set(split.test.targets) <= tested
    log = data.sequences
    for case in range(0, len(split.test), 7):
        user = split.test.users[case]
        events = log.items[log.offsets[user - 1] : log.offsets[user]]
        of_half = [item for item in events if item in tested]
        assert of_half[-1] == split.test.targets[case]
        history = split.test.histories.subset(np.array([case])).flat()
        assert of_half[:-1] == history.tolist()
    assert set(half_catalogue_split(data, seed=1).test_candidates) != tested


def test_users_and_items_of_several_datasets_stay_apart():
    one, two, three = (small_dataset(n_users=n, seed=n) for n in (12, 15, 18))
    split = transfer_split({"one": one, "two": two}, "three", three)
    joined = split.dataset
    assert joined.n_users == 12 + 15 + 18
    assert joined.n_items == one.n_items + two.n_items + three.n_items
    named = {name.split("/")[0] for name in joined.items.to_external(split.test_candidates)}
    assert named == {"three"}
    assert {name.split("/")[0] for name in joined.users.to_external(split.test.users)} == {"three"}
    learned = {name.split("/")[0] for name in joined.users.to_external(split.train.users)}
    assert learned == {"one", "two"}
    last = three.to_interactions().group_by("user_id", maintain_order=True).last()["item_id"]
    found = [name.removeprefix("three/") for name in joined.items.to_external(split.test.targets)]
    assert found == last.to_list()
    whole = one.sequences.n_events + two.sequences.n_events
    assert len(split.train.flat()) == whole - 12 - 15, "all but each user's last"
    again = transfer_split({"one": one, "two": two}, "three", three)
    assert again.fingerprint == split.fingerprint
    assert transfer_split({"one": one}, "three", three).fingerprint != split.fingerprint


def test_words_and_pictures_of_all_datasets_are_found(tmp_path):
    plain = pictured_dataset(tmp_path / "here" / "images")
    rich = attributed_dataset(tmp_path / "there" / "pictures")
    odd = rich.with_catalog(
        type(rich.catalog)(
            rich.catalog.table.with_columns(genre=pl.concat_list("genre"), price=pl.lit(3)),
            rich.catalog.root,
        )
    )
    split = transfer_split({"plain": plain, "rich": rich}, "odd", odd)
    catalog = split.dataset.catalog
    for name, data in (("plain", plain), ("rich", rich), ("odd", odd)):
        rows = [i for i, item in enumerate(split.dataset.items.names) if item.startswith(name)]
        paths, texts = catalog.image_paths(), catalog.texts(["title", "genre"])
        for row, path, item in zip(rows, data.catalog.image_paths(), data.items.names, strict=True):
            assert split.dataset.items.names[row] == f"{name}/{item}"
            assert (paths[row] is None) == (path is None)
            assert path is None or paths[row].read_bytes() == path.read_bytes()
        if name != "plain":
            assert "genre: genre 1" in texts[rows[1]]


def test_datasets_without_pictures_can_be_joined():
    one, two = small_dataset(seed=1), small_dataset(seed=2)
    assert transfer_split({"one": one}, "two", two).dataset.catalog.root is None


def test_what_leaves_nothing_is_refused():
    log = pl.DataFrame(
        [("a", "x", 1), ("b", "y", 2)], schema=["user_id", "item_id", "timestamp"], orient="row"
    )
    data = Dataset.from_frames(log)
    with pytest.raises(DataError, match="The half-catalogue split leaves nothing"):
        half_catalogue_split(data)
    with pytest.raises(DataError, match="The transfer split leaves nothing"):
        transfer_split({"one": data}, "two", data)


def test_a_transfer_needs_other_data():
    with pytest.raises(ConfigError, match=r"A transfer .* tests on, and only 'shop' is given"):
        SCENARIOS["transfer"].split_of("shop", {"shop": small_dataset()})
    with pytest.raises(ConfigError, match="learns from other data and has the split 'global-time'"):
        Scenario(name="odd", transfer=True, split="global-time")


def test_scenarios_change_all_datasets_of_a_transfer():
    shops = {"one": small_dataset(seed=1), "two": small_dataset(seed=2)}
    plain = SCENARIOS["transfer"].split_of("two", shops)
    mixed = Scenario(name="mixed", transfer=True, shuffle_sessions=True).split_of("two", shops)
    assert plain.train.flat().tolist() != mixed.train.flat().tolist()
    assert plain.dataset.items.names.equals(mixed.dataset.items.names)
    assert mixed.name == "transfer"
