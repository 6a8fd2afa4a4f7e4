"""What a report says of a run: figures, learning curve, and people drawn at random."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from vlmrec.core.protocols import Ranker
from vlmrec.core.random import Streams
from vlmrec.data.dataset import Dataset
from vlmrec.data.sequences import IntArray
from vlmrec.data.splits import Cases, Split
from vlmrec.evaluation.ranking import rank_targets
from vlmrec.evaluation.report import (
    ExamplePerson,
    LearningCurve,
    MetricRow,
    RunReport,
    write_run_report,
)
from vlmrec.evaluation.significance import Estimate
from vlmrec.pipeline.evaluation import SplitEvaluation
from vlmrec.pipeline.item_cards import ItemCards
from vlmrec.pipeline.lessons import taught_tasks
from vlmrec.pipeline.run import Run

SHOWN = ("NDCG@10", "Recall@10", "MRR@10")
_HISTORY = 8
_LIST = 6


def report_run(
    path: Path,
    run: Run,
    split: Split,
    measured: SplitEvaluation,
    lines: Sequence[Mapping[str, object]],
) -> None:
    """Writes the report of one run.

    Args:
        path: The HTML file.
        run: What was trained.
        split: What it was tested on.
        measured: With which figures.
        lines: One record an epoch, as in metrics.jsonl.
    """
    metric = f"valid {run.info['options']['valid_metric']}"
    names = {run.info["model"]: measured.test, **measured.anchors}
    rows = [MetricRow(name, shown(one.metrics)) for name, one in names.items()]
    lifted = measured.lifted if measured.lifted and measured.lifted.offset is not None else None
    beside = {
        "among all items": measured.test_among_all,
        "among all items, new ones lifted": lifted and lifted.test_among_all,
        "known targets": measured.warm_among_all,
        "known targets, new items lifted": lifted and lifted.warm_among_all,
    }
    rows += [
        MetricRow(f"{run.info['model']}, {name}", shown(one.metrics))
        for name, one in beside.items()
        if one is not None
    ]
    slices = [
        MetricRow(
            part.name,
            {m: part.metrics[m] for m in SHOWN},
            f"{part.n_cases:,} cases: {part.definition}",
        )
        for part in measured.test.slices
    ]
    report = RunReport(
        title=f"{run.info['model']} on {dataset_name(run)}",
        summary=run.spec.summary.capitalize() + ".",
        protocol=f"{split.name}: {measured.test.protocol}",
        rows=tuple(rows),
        facts=_facts(run, split.dataset),
        settings=settings(run),
        slices=tuple(slices),
        curve=learning_curve(run.info["model"], lines, metric),
        curve_metric=metric,
        taught=taught_tasks(run.info, split.dataset),
        people=people(
            split,
            {run.info["model"]: run.ranker()},
            filter_seen=run.info["filter_seen"],
            seed=run.info["seed"],
            n=5,
        ),
        config=yaml.safe_dump({"model": run.info["spec"], "training": run.info["options"]}),
    )
    write_run_report(path, report)


def shown(metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Returns the metrics that tables show."""
    return {name: metrics[name] for name in SHOWN}


def dataset_name(run: Run) -> str:
    """Returns the name of the dataset folder, or its fingerprint where it has none."""
    folder = run.info["dataset"]["folder"]
    return Path(folder).name if folder else run.info["dataset"]["fingerprint"][:12]


def settings(run: Run) -> dict[str, str]:
    """Returns what must be known of a run to compare it with others."""
    facts = run.info["training"]
    told = {
        "loss": run.info["loss"],
        "max_len": str(run.info["spec"].get("max_len", "all")),
        "seed": str(run.info["seed"]),
        "time": f"{facts['wall_seconds']:.0f} s",
        "peak memory": f"{facts['peak_memory_mib']:,.0f} MiB",
    }
    if "epochs" in facts:
        told["epochs"] = f"{facts['epochs']}, best {facts['best_epoch']}"
    return told


def learning_curve(
    name: str, lines: Sequence[Mapping[str, object]], metric: str
) -> LearningCurve | None:
    """Returns the validation metric by epoch, None where nothing was trained."""
    known = [line for line in lines if metric in line]
    if not known:
        return None
    epochs = tuple(int(str(line["epoch"])) + 1 for line in known)
    return LearningCurve(name, epochs, tuple(float(str(line[metric])) for line in known))


def people(
    split: Split, rankers: Mapping[str, Ranker], *, filter_seen: bool, seed: int, n: int
) -> tuple[ExamplePerson, ...]:
    """Returns test users drawn at random (not chosen), with each model's list."""
    cases = drawn_cases(split, seed=seed, n=n)
    pool = split.test_candidates
    found = {
        name: best_items(ranker, cases, filter_seen=filter_seen, candidates=pool)
        for name, ranker in rankers.items()
    }
    lists = {name: items for name, (items, _) in found.items()}
    return shown_people(split.dataset, cases, lists, {n: ranks for n, (_, ranks) in found.items()})


def drawn_cases(split: Split, *, seed: int, n: int) -> Cases:
    """Returns `n` test cases drawn at random, or all where there are fewer."""
    rng = Streams(seed).numpy("example people")
    rows = rng.choice(len(split.test), size=min(n, len(split.test)), replace=False)
    return split.test.subset(np.sort(rows))


def best_items(
    ranker: Ranker, cases: Cases, *, filter_seen: bool, candidates: IntArray | None
) -> tuple[IntArray, np.ndarray]:
    """Returns what a model recommends in each case, and where it has what came next.

    Args:
        ranker: The model.
        cases: The n cases.
        filter_seen: Leave out items of the history.
        candidates: ``[P] int`` internal ids that compete, or None for the whole catalogue.

    Returns:
        ``[n, k]`` internal ids, 0 where no item is left, and ``[n]`` ranks of the targets.
    """
    found = rank_targets(ranker, cases, filter_seen=filter_seen, candidates=candidates, top_k=_LIST)
    return found.top_items, found.ranks


def shown_people(
    dataset: Dataset,
    cases: Cases,
    lists: Mapping[str, IntArray],
    ranks: Mapping[str, np.ndarray],
) -> tuple[ExamplePerson, ...]:
    """Returns the users of `cases` as people see them.

    Args:
        dataset: Theirs.
        cases: The n cases to show.
        lists: Name of a list -> ``[n, k]`` internal ids, 0 where there is none.
        ranks: Name of a list -> ``[n]`` rank of the target.
    """
    histories = cases.histories.padded(np.arange(len(cases)), _HISTORY)
    names = dataset.users.to_external(cases.users)
    cards = ItemCards(dataset)
    return tuple(
        ExamplePerson(
            name=f"User {names[i]}",
            history=cards.of(histories[i][histories[i] > 0]),
            truth=cards.of(cases.targets[i : i + 1])[0],
            recommendations={name: cards.of(items[i]) for name, items in lists.items()},
            note=_note(int(cases.histories.lengths[i])),
            ranks={name: float(found[i]) for name, found in ranks.items()},
        )
        for i in range(len(cases))
    )


def _note(length: int) -> str:
    return f"The latest {_HISTORY} of {length} items are shown." if length > _HISTORY else ""


def _facts(run: Run, dataset: Dataset) -> dict[str, str]:
    facts = {
        "users": f"{dataset.n_users:,}",
        "items": f"{dataset.n_items:,}",
        "interactions": f"{dataset.sequences.n_events:,}",
        "parameters": f"{run.info['training']['parameters']:,}",
        "device": run.info["device"],
    }
    for name, content in run.info["content"].items():
        facts[f"items with {name}"] = f"{content['items_with']:,} ({content['encoder']})"
    return facts
