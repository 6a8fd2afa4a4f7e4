"""The whole story on a generated shop: raw files, dataset, six models, one report.

And a second world, in which VLM2Rec shows how one modality starves and what feeds it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vlmrec.data.dataset import Dataset
from vlmrec.data.shop import ShopConfig, generate_shop, write_shop
from vlmrec.data.sources.files import FileSource, read_files
from vlmrec.data.splits import Split
from vlmrec.evaluation.evaluator import Evaluation
from vlmrec.evaluation.report import ComparisonReport, MetricRow, write_comparison_report
from vlmrec.models import ItemKNN, ModelSpec, Popularity, SASRec, SASRecContent
from vlmrec.pipeline.branch_losses import IMAGE_ALONE, PLAIN, WEAK_PENALISED
from vlmrec.pipeline.branch_study import StudyRow
from vlmrec.pipeline.evaluation import evaluate_split
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.reporting import learning_curve, people, settings, shown
from vlmrec.pipeline.run import Run
from vlmrec.pipeline.two_tastes import study_two_tastes, two_tastes_aside
from vlmrec.train.log import read_lines
from vlmrec.train.options import TrainOptions

OPTIONS = TrainOptions(epochs=40, patience=5, learning_rate=2e-3, device="cpu")


def demo_models() -> dict[str, ModelSpec]:
    """Returns the models of the demo by the name of their row."""
    small = {"max_len": 20, "dropout": 0.2}
    return {
        "popularity": Popularity(),
        "item-knn": ItemKNN(),
        "sasrec (ids)": SASRec.parse(small, "the demo"),
        "content: text": SASRecContent.parse({**small, "image": None}, "the demo"),
        "content: pictures": SASRecContent.parse({**small, "text": None}, "the demo"),
        "content: both": SASRecContent.parse(small, "the demo"),
    }


_NOTES = {
    "popularity": Popularity.summary,
    "item-knn": ItemKNN.summary,
    "sasrec (ids)": "who bought what in which order, nothing else",
    "content: text": "sees the words only",
    "content: pictures": "sees the pictures only",
    "content: both": "sees words and pictures",
}
_TASTES = "two-tastes"
SERVED = "served.db"
"""Database of whoever serves the demo; SQLite writes files beside it that begin like it."""
_LOSSES = (IMAGE_ALONE, PLAIN, WEAK_PENALISED)
_EPOCHS = 8  # enough for the table to show what it is about; the recipe has more
_SLICE_AT_LEAST = 30
"""Groups of fewer cases say nothing."""


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Attributes:
        results: Row name -> figures on the test cases.
        tastes: What becomes of each branch in the world of two tastes.
        report: The HTML file.
        example_run: A run folder to go on with.
    """

    results: dict[str, Evaluation]
    tastes: list[StudyRow]
    report: Path
    example_run: Path


def run_demo(folder: Path, *, seed: int, say: Callable[[str], None]) -> Demo:
    """Generates a shop in `folder`, trains the models and writes the report.

    Args:
        folder: An empty folder.
        seed: Of the shop and of all training.
        say: Told what happens, a line each.
    """
    shop = ShopConfig()
    say(f"Drawing a shop: {shop.n_items:,} products, {shop.n_shoppers:,} shoppers ...")
    write_shop(generate_shop(shop, seed), folder / "raw")
    say("Reading its raw files as you would: interactions.csv, items.csv, images/ ...")
    raw = folder / "raw"
    source = FileSource((raw / "interactions.csv", raw / "items.csv"), images=raw / "images")
    tables = read_files(source)
    dataset = Dataset.from_frames(tables.interactions, tables.items, tables.images)
    dataset = dataset.save(folder / "dataset")
    split = dataset.leave_one_out()
    runs: dict[str, Run] = {}
    for name, spec in demo_models().items():
        say(f"Training {name} ...")
        out = folder / "runs" / name.replace(": ", "-").replace(" (ids)", "")
        options = OPTIONS.model_copy(update={"seed": seed})
        runs[name] = fit(spec, split, out, options=options, filter_seen=True)
    measured = {
        name: evaluate_split(run.ranker(), split, filter_seen=True, anchors=False).test
        for name, run in runs.items()
    }
    say("A second world: titles tell one taste, small pictures another ...")
    tastes = study_two_tastes(folder / _TASTES, seed, _LOSSES, epochs=_EPOCHS, say=say)
    report = folder / "report.html"
    contents = _report(split, runs, measured, seed)
    write_comparison_report(report, replace(contents, asides=(two_tastes_aside(tastes),)))
    example = runs["content: both"].folder
    return Demo(measured, tastes, report, example if example is not None else folder)


def is_demo(folder: Path) -> bool:
    """Returns whether a folder holds an earlier demo, finished or not, and nothing else."""
    ours = {"raw", "dataset", "runs", _TASTES, "report.html"}
    others = {path.name for path in folder.iterdir()} - ours
    return (folder / "raw").is_dir() and all(name.startswith(SERVED) for name in others)


def _report(
    split: Split, runs: dict[str, Run], measured: dict[str, Evaluation], seed: int
) -> ComparisonReport:
    rows = tuple(
        MetricRow(name, shown(one.metrics), _NOTES[name], settings(runs[name]))
        for name, one in measured.items()
    )
    slices, empty = _slices(measured)
    curves = [
        learning_curve(name, read_lines(run.folder), f"valid {OPTIONS.valid_metric}")
        for name, run in runs.items()
        if run.folder is not None
    ]
    dataset = split.dataset
    rankers = {name: run.ranker() for name, run in runs.items()}
    return ComparisonReport(
        title="The demo shop",
        summary=(
            "A generated shop whose shoppers have two tastes: one that only the pictures show "
            "(shape, colour, pattern) and one that only the words tell. A model that uses both "
            "should beat one that sees half of it."
        ),
        protocol=f"{split.name}: {next(iter(measured.values())).protocol}",
        facts={
            "shoppers": f"{dataset.n_users:,}",
            "products": f"{dataset.n_items:,}",
            "purchases": f"{dataset.sequences.n_events:,}",
        },
        rows=rows,
        slices=slices,
        curves=tuple(curve for curve in curves if curve is not None),
        people=people(split, rankers, filter_seen=True, seed=seed, n=6),
        remarks=(
            "Nobody buys a thing twice in this shop, so what a shopper has is left out of the "
            "ranking, for every model alike.",
            "One seed; intervals show the spread over shoppers, not over seeds.",
            "Shoppers were drawn at random for display, not chosen.",
            "A generated world shows that a method can work, not that it will on your data.",
            *empty,
        ),
    )


def _slices(
    measured: dict[str, Evaluation],
) -> tuple[dict[str, tuple[MetricRow, ...]], list[str]]:
    """Returns the groups that tell models apart, and a sentence for each that no model solves."""
    tables: dict[str, tuple[MetricRow, ...]] = {}
    sentences: list[str] = []
    for i, part in enumerate(next(iter(measured.values())).slices):
        if part.n_cases < _SLICE_AT_LEAST or part.name == "unseen":
            continue
        rows = {name: shown(one.slices[i].metrics) for name, one in measured.items()}
        where = f"{part.name}: {part.definition} ({part.n_cases:,} cases)"
        if any(row["Recall@10"].mean for row in rows.values()):
            tables[where] = tuple(MetricRow(name, row) for name, row in rows.items())
        else:
            sentences.append(f"No model has a target of this group in its first ten: {where}.")
    return tables, sentences
