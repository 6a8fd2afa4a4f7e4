"""The world of two tastes, ready for VLM2Rec: data, the toy that learns it, losses, a table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vlmrec.core.columns import TITLE
from vlmrec.core.files import atomic_folder
from vlmrec.data.dataset import Dataset
from vlmrec.data.two_tastes import TwoTastesConfig, generate_two_tastes, write_two_tastes
from vlmrec.evaluation.report import Aside, MetricRow
from vlmrec.models.vlm2rec import VLM2Rec
from vlmrec.objectives.info_nce import InfoNce
from vlmrec.objectives.wpcl import Wpcl
from vlmrec.pipeline.branch_losses import (
    IMAGE_ALONE,
    PLAIN,
    WEAK_PENALISED,
    branch_losses,
    branches_alone,
    with_losses,
)
from vlmrec.pipeline.branch_study import (
    FUSED,
    IMAGE,
    SHUFFLED,
    TEXT,
    StudyRow,
    study_folder,
    study_run,
    study_table,
)
from vlmrec.train.options import TrainOptions
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.toy import ToyOptions, make_toy

TRAINING = TrainOptions(
    epochs=34,
    batch_size=128,
    learning_rate=1.3e-3,
    schedule="cosine",
    valid_every=34,
    device="cpu",
)
"""Nothing is chosen on the way: the last weights are kept."""
TOY = "toy"
LOSSES: dict[str, dict[str, Any]] = {
    **branches_alone(),
    **branch_losses(Wpcl(kappa=0.6, gap_max=1.5)),
    "internal fusion": {"fusion": "internal"},
}
"""What is compared, by name; all else is alike."""


def make_two_tastes(
    folder: Path, seed: int, config: TwoTastesConfig | None = None, *, overwrite: bool = False
) -> Dataset:
    """Writes the world and the untrained toy (in ``toy/``) into a dataset folder, all or nothing.

    Args:
        folder: Where to write.
        seed: Of the world and of the toy's random weights.
        config: How large the world is.
        overwrite: Replace a folder that is there.

    Raises:
        DataError: The folder is taken, or cannot be written.
    """
    world = generate_two_tastes(config, seed)
    places = [f"{place}." for place in range(1, 11)]  # a history numbers its titles
    with atomic_folder(folder, overwrite=overwrite) as target:
        write_two_tastes(world, target)
        make_toy([*world.items[TITLE], *places], target / TOY, ToyOptions(), seed=seed)
    return Dataset.load(folder)


def two_tastes_models(folder: Path) -> dict[str, VLM2Rec]:
    """Returns the model under every loss of `LOSSES`.

    Args:
        folder: What `make_two_tastes` wrote.
    """
    plain = VLM2Rec(
        backbone=str(folder / TOY),
        # One reads by the mean, because order tells nothing in this world.
        vlm=VlmOptions(pooling="mean", pictures_per_batch=128, tokens_per_batch=16384),
        tuning=TuningOptions(kind="full", vision=True),
        history_prefix="",
        info_nce=InfoNce(temperature=0.05),
        chunk=1024,
    )
    return with_losses(plain, LOSSES)


def study_two_tastes(
    folder: Path,
    seed: int,
    losses: Sequence[str],
    *,
    epochs: int,
    say: Callable[[str], None],
) -> list[StudyRow]:
    """Makes the world, trains the toy under some losses, and returns what became of each branch.

    Args:
        folder: Where the world and the runs go.
        seed: Of the world and of all training.
        losses: Names of `LOSSES`.
        epochs: Of each training.
        say: Told what happens, a line each.
    """
    split = make_two_tastes(folder / "world", seed).leave_one_out()
    models = two_tastes_models(folder / "world")
    options = TRAINING.model_copy(update={"seed": seed, "epochs": epochs, "valid_every": epochs})
    for name in losses:
        say(f"Training vlm2rec, {name} ...")
        out = study_folder(folder / "runs", name, seed)
        study_run(models[name], split, out, options, filter_seen=True)
    return study_table(folder / "runs", {name: models[name] for name in losses}, [seed])


def lesson(rows: Sequence[StudyRow]) -> str:
    """Returns what the table shows, in words; it needs InfoNCE, WPCL and pictures alone."""
    mean = {(row.variant, view): one.mean for row in rows for view, one in row.estimates.items()}
    alone = mean[IMAGE_ALONE, FUSED]
    shares = [mean[name, IMAGE] / alone for name in (PLAIN, WEAK_PENALISED)]
    blind = [mean[name, SHUFFLED] for name in (PLAIN, WEAK_PENALISED)]
    change = mean[WEAK_PENALISED, FUSED] / mean[PLAIN, FUSED] - 1
    return (
        f"Trained together with words by InfoNCE, pictures reach {shares[0]:.0%} of what they "
        f"reach alone; under WPCL {shares[1]:.0%}. When words are dealt to the wrong items, "
        f"NDCG@10 is {blind[0]:.3f} under InfoNCE and {blind[1]:.3f} under WPCL. With all in "
        f"place, WPCL ranks {abs(change):.0%} {'better' if change > 0 else 'worse'}."
    )


def two_tastes_aside(rows: Sequence[StudyRow]) -> Aside:
    """Returns the table as a part of a report."""
    shown = (FUSED, TEXT, IMAGE, SHUFFLED)
    return Aside(
        title="When one modality starves",
        text=(
            "A second generated world: titles tell one taste, small pictures another. A toy "
            f"vision-language model learns both at once. {lesson(rows)}"
        ),
        caption="NDCG@10 by what is ranked with; seen items left out; one seed.",
        rows=tuple(
            MetricRow(
                row.variant,
                {view: row.estimates[view] for view in shown if view in row.estimates},
                details={"loss": row.loss, "seconds per epoch": f"{row.seconds_per_epoch:.1f}"},
            )
            for row in rows
        ),
    )
