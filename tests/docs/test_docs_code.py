"""Python on the pages is real: every block compiles, and runs where it is not marked otherwise."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from tests.docs.markdown_pages import CodeBlock, code_blocks, pages

from vlmrec.data.dataset import Dataset
from vlmrec.data.shop.shop import ShopConfig, generate_shop, write_shop
from vlmrec.models import SASRec, SASRecContent
from vlmrec.pipeline.fitting import fit
from vlmrec.train.options import TrainOptions

BLOCKS = [block for page in pages() for block in code_blocks(page) if block.language == "python"]
RUN = [block for block in BLOCKS if block.is_run and not block.title]
PAGES = sorted({block.page for block in RUN})


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block_compiles(block: CodeBlock):
    compile(block.body, str(block), "exec")


def test_there_are_blocks_to_run():
    assert {page.name for page in PAGES} >= {"README.md", "tutorial.md", "add-items.md"}


@pytest.fixture(scope="module")
def reader_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader of the pages has: tables, pictures, a dataset folder and two runs."""
    folder = tmp_path_factory.mktemp("reader")
    config = ShopConfig(n_items=60, n_shoppers=80, cold_items=0.0, picture_size=48)
    write_shop(generate_shop(config), folder / "shop")
    names = {"P0001": "B00A1", "P0002": "B00B7"}
    for source, target in (("interactions", "clicks"), ("items", "products")):
        table = pl.read_csv(folder / "shop" / f"{source}.csv")
        table = table.with_columns(pl.col("item_id").replace(names)).drop("image", strict=False)
        table.write_csv(folder / f"{target}.csv")
    shutil.copytree(folder / "shop" / "images", folder / "pictures")
    for old, new in names.items():
        (folder / "pictures" / f"{old}.jpg").rename(folder / "pictures" / f"{new}.jpg")
    shutil.copyfile(folder / "pictures" / "P0010.jpg", folder / "pictures" / "N0001.jpg")
    (folder / "new.csv").write_text("item_id,title\nN0001,Harbour lamp in hand-blown glass\n")
    tables = (pl.read_csv(folder / f"{name}.csv") for name in ("clicks", "products"))
    data = Dataset.from_frames(*tables, images=folder / "pictures").save(folder / "shop-data")
    options = TrainOptions(epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLMREC_CACHE", str(folder / "cache"))
        for spec, name in ((SASRec(), "sasrec"), (SASRecContent(), "content")):
            fit(spec, data.leave_one_out(), folder / "runs" / name, options=options, quiet=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_of_a_page_run_in_order(
    page: Path, reader_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own = tmp_path / "own"
    shutil.copytree(reader_folder, own)
    if page.name == "README.md":  # it makes these runs itself
        shutil.rmtree(own / "runs")
    monkeypatch.chdir(own)
    monkeypatch.setenv("VLMREC_CACHE", str(reader_folder / "cache"))
    names: dict[str, object] = {"__name__": "reader"}
    for block in RUN:
        if block.page == page:
            exec(compile(block.body, str(block), "exec"), names)
