"""What is learned from the older films of a catalogue, asked about the newer ones, and back.

    python -m benchmarks.two_catalogues --data FOLDER --out FOLDER [--seeds 0,1,2]

FOLDER is a dataset with texts, pictures and a column `year`, such as ml-100k-mm. Its films are
divided at their median year into two dataset folders, OUT/older and OUT/newer, and the models of
recipes/ml-100k-mm/other-catalogue.yaml are compared in the scenario `transfer`. Films without a
year are in neither half. The table is in OUT/transfer; the same command goes on after a kill.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import polars as pl
import yaml

from vlmrec.core.columns import ITEM_ID
from vlmrec.data.dataset import Dataset

RECIPE = Path(__file__).parents[1] / "recipes" / "ml-100k-mm" / "other-catalogue.yaml"


def halves(dataset: Dataset) -> dict[str, Dataset]:
    """Returns the older and the newer items of a dataset, each with the events on them."""
    table, log = dataset.catalog.table, dataset.to_interactions()
    median = pl.col("year").median()
    found: dict[str, Dataset] = {}
    for name, chosen in {
        "older": pl.col("year") <= median,
        "newer": pl.col("year") > median,
    }.items():
        items = table.filter(chosen)
        events = log.join(items.select(ITEM_ID), on=ITEM_ID, how="semi", maintain_order="left")
        found[name] = Dataset.from_frames(events, items, dataset.catalog.root)
    return found


def main() -> int:
    """Makes the two catalogues and compares the models in them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.two_catalogues",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="dataset folder")
    parser.add_argument("--out", type=Path, required=True, help="for datasets, runs and table")
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    folders = [options.out / name for name in ("older", "newer")]
    if not all(folder.exists() for folder in folders):
        for name, half in halves(Dataset.load(options.data)).items():
            half.save(options.out / name, overwrite=True)
            n_events = len(half.sequences.items)
            print(f"{name}: {half.n_items} items, {half.n_users} users, {n_events} events")
    asked = yaml.safe_load(RECIPE.read_text())
    title = "ml-100k-mm: learned from the older films, asked about the newer, and back"
    recipe = options.out / "transfer.yaml"
    recipe.write_text(yaml.safe_dump({**asked, "title": title, "scenarios": ["transfer"]}))
    data = [word for folder in folders for word in ("--data", str(folder))]
    vlmrec = Path(sys.executable).with_name("vlmrec")
    command = [str(vlmrec), "compare", str(recipe), *data, "--out", str(options.out)]
    return subprocess.run([*command, "--seeds", options.seeds]).returncode


if __name__ == "__main__":
    sys.exit(main())
