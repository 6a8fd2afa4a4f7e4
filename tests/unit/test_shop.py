"""The demo shop: deterministic, what it promises about words, pictures, tastes and cold items."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.data.dataset import Dataset
from vlmrec.data.shop import Shop, ShopConfig, generate_shop, write_shop
from vlmrec.data.shop.drawing import VISUAL_FACTORS, Look, Studio
from vlmrec.data.shop.words import WORDS

SMALL = ShopConfig(n_items=120, n_shoppers=150, picture_size=48)
UNDRAWN = SMALL.model_copy(update={"missing_pictures": 1.0})


@pytest.fixture(scope="module")
def shop() -> Shop:
    return generate_shop(SMALL, seed=1)


def mutual_information(left: pl.Series, right: pl.Series) -> float:
    counts = np.histogram2d(left.rank("dense").to_numpy(), right.rank("dense").to_numpy(), 8)[0]
    joint = counts / counts.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    found = joint > 0
    return float((joint[found] * np.log(joint[found] / apart[found])).sum())


def test_seed_decides_every_pixel_and_every_purchase(shop: Shop) -> None:
    again, other = generate_shop(SMALL, seed=1), generate_shop(UNDRAWN, seed=2)
    assert again.interactions.equals(shop.interactions)
    assert again.items.equals(shop.items)
    assert all(again.pictures[i].tobytes() == p.tobytes() for i, p in shop.pictures.items())
    assert not other.interactions.equals(shop.interactions)


def test_words_never_tell_the_look(shop: Shop) -> None:
    visible = {value for values in VISUAL_FACTORS.values() for value in values}
    visible |= {"red", "yellow", "purple", "striped", "dotted", "checked", "pot", "cup", "shade"}
    for text in shop.items["title"].to_list() + shop.items["description"].to_list():
        said = set((text or "").lower().replace(",", " ").replace(".", " ").split())
        assert not said & visible


def test_words_and_looks_are_independent_unless_redundant(shop: Shop) -> None:
    redundant = generate_shop(UNDRAWN.model_copy(update={"redundant": True}), seed=1).factors
    certain = np.log(len(WORDS["room"]))
    assert mutual_information(shop.factors["room"], shop.factors["shape"]) < 0.25
    assert mutual_information(redundant["room"], redundant["shape"]) == pytest.approx(certain)
    assert mutual_information(redundant["room"], redundant["colour"]) < 0.25


def test_every_factor_changes_the_picture() -> None:
    studio = Studio(64)
    base = {factor: values[0] for factor, values in VISUAL_FACTORS.items()}
    for factor, values in VISUAL_FACTORS.items():
        drawn = {
            studio.draw(Look(**(base | {factor: value})), np.random.default_rng(0)).tobytes()
            for value in values
        }
        assert len(drawn) == len(values)


def test_shoppers_follow_their_taste(shop: Shop) -> None:
    indifferent = generate_shop(UNDRAWN.model_copy(update={"sharpness": 0.0}), seed=1)
    rows = {item: row for row, item in enumerate(shop.items["item_id"])}

    def mean_percentile(purchases: pl.DataFrame) -> float:
        places = shop.preference.argsort(axis=1).argsort(axis=1) / (len(rows) - 1)
        users = purchases["user_id"].str.slice(1).cast(pl.Int64).to_numpy() - 1
        return float(places[users, [rows[item] for item in purchases["item_id"]]].mean())

    assert mean_percentile(shop.interactions) > 0.85
    assert mean_percentile(indifferent.interactions) == pytest.approx(0.5, abs=0.03)


def test_nobody_buys_twice_and_cold_products_are_only_ever_last(shop: Shop) -> None:
    grouped = shop.interactions.group_by("user_id", maintain_order=True).agg("item_id")
    cold = set(shop.cold)
    assert len(cold) == round(SMALL.cold_items * SMALL.n_items)
    lengths: set[int] = set()
    for bought in grouped["item_id"].to_list():
        assert len(set(bought)) == len(bought)
        assert not cold.intersection(bought[:-1])
        lengths.add(len(bought))
    assert (min(lengths), max(lengths)) == (SMALL.min_purchases, SMALL.max_purchases)
    assert any(bought[-1] in cold for bought in grouped["item_id"].to_list())


def test_missing_words_and_pictures_are_as_many_as_asked(shop: Shop) -> None:
    none = round(0.03 * SMALL.n_items)
    assert shop.items["image"].null_count() == none
    assert shop.items["title"].null_count() == none
    assert len(shop.pictures) == SMALL.n_items - none


def test_written_files_are_what_a_user_would_have(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    write_shop(shop, folder)
    assert pl.read_csv(folder / "interactions.csv").equals(shop.interactions)
    items = pl.read_csv(folder / "items.csv")
    assert items["title"].to_list() == shop.items["title"].to_list()
    assert {path.name for path in (folder / "images").iterdir()} == set(items["image"]) - {None}
    with Image.open(folder / "images" / items["image"].drop_nulls()[0]) as picture:
        assert picture.size == (SMALL.picture_size, SMALL.picture_size)
    dataset = Dataset.from_frames(shop.interactions, shop.items, images=folder / "images")
    assert dataset.n_items == SMALL.n_items
    with pytest.raises(DataError, match=r"exists and is not empty.*--overwrite"):
        write_shop(shop, folder)


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="max_purchases exceeds the number of products on sale"):
        ShopConfig.parse({"n_items": 20, "max_purchases": 30}, "the shop")
    with pytest.raises(ConfigError, match="min_purchases must not exceed max_purchases"):
        ShopConfig.parse({"min_purchases": 9, "max_purchases": 8}, "the shop")


def test_weights_decide_what_shoppers_look_at() -> None:
    looks = list(VISUAL_FACTORS)
    for weight, same, differs in (
        ("text_weight", looks, list(WORDS)),
        ("image_weight", list(WORDS), looks),
    ):
        blind = generate_shop(UNDRAWN.model_copy(update={weight: 0.0, "n_items": 600}), seed=1)
        twins = blind.factors.with_row_index().group_by(same).agg("index", *differs)
        rows = next(row["index"] for row in twins.iter_rows(named=True) if len(row["index"]) > 1)
        assert np.allclose(blind.preference[:, rows[0]], blind.preference[:, rows[1]], atol=1e-5)
