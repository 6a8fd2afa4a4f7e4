"""The modality report card of a run: what it makes of texts and pictures, on its own cases."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from vlmrec.core.device import DeviceName, choose_device
from vlmrec.core.errors import ConfigError, DataError, nearest
from vlmrec.core.files import write_json
from vlmrec.core.progress import bar
from vlmrec.core.protocols import Multimodal
from vlmrec.core.random import Streams
from vlmrec.data.splits import Split
from vlmrec.diagnosis.card import Card, Subject, diagnose_model
from vlmrec.diagnosis.measuring import Setting, rank_alone
from vlmrec.diagnosis.page import Gallery, ItemNeighbours, write_card_page
from vlmrec.diagnosis.undertraining import Alone
from vlmrec.items.cache import VectorCache
from vlmrec.pipeline.evaluation import require_same_data
from vlmrec.pipeline.item_cards import ItemCards
from vlmrec.pipeline.reporting import dataset_name, shown_people
from vlmrec.pipeline.run import Run
from vlmrec.pipeline.single_modality import differing_options, require_alone, train_alone
from vlmrec.train.log import read_lines

CASES = ("test", "valid")
AnyRun = Run | str | os.PathLike[str]


def diagnose(
    run: AnyRun,
    split: Split,
    out: str | os.PathLike[str] | None = None,
    *,
    cases: str = "test",
    alone: Mapping[str, AnyRun] | None = None,
    train_missing: bool = False,
    curves: bool = True,
    seed: int = 0,
    device: DeviceName = "auto",
    cache: VectorCache | None = None,
    quiet: bool = False,
) -> Card:
    """Returns the modality report card of a run: does it use texts and pictures?

    Items are ranked as the run was evaluated (the same filter of seen items and the same
    candidates), once for every view of the model.

    Args:
        run: A trained model that reads texts, pictures or both; or its folder.
        split: What it was trained on.
        out: Folder for ``card.json`` and ``card.html`` (``card-valid`` for validation cases);
            without it nothing is written.
        cases: "test" or "valid".
        alone: Runs of the same model trained on one modality, by modality ("text", "image").
        train_missing: Train the modalities that `alone` does not name; stored beside the run.
        curves: Also measure partly missing and partly noisy content: most of the cost.
        seed: Of shuffles, noise, samples and intervals.
        device: Where to compute.
        cache: Where frozen vectors are kept; default: the user's cache folder.
        quiet: Say nothing on stderr.

    Raises:
        ConfigError: The model reads no content, or a run for one modality is another model.
        ArtifactError: A run was trained on other data, or is damaged.
        DataError: `out` is read-only or the disk is full.
    """
    whole = _loaded(run)
    require_same_data(whole.info, split)
    model = _taken_apart(whole)
    _check_names(model.modalities, cases, alone or {})
    chosen = {name: _loaded(one) for name, one in (alone or {}).items()}
    for name, one in chosen.items():
        require_alone(whole, one, name, split)
    training_seconds = 0.0
    if train_missing and len(model.modalities) > 1:
        for name in model.modalities:
            if name not in chosen:
                chosen[name], spent = train_alone(whole, name, split, cache=cache, quiet=quiet)
                training_seconds += spent
    setting = _setting(whole, split, cases, seed)
    where = choose_device(device).device
    measured = {n: _measured(whole, one, n, setting, where) for n, one in chosen.items()}
    with _placed(whole, where), bar("ranking views", quiet=quiet) as advance:
        card = diagnose_model(
            model,
            setting,
            _subject(whole, split, cases, seed),
            training_counts=split.train.item_counts(split.dataset.n_items),
            alone=measured,
            lines=[] if whole.folder is None else read_lines(whole.folder),
            training_seconds=training_seconds,
            curves=curves,
            on_view=advance,
        )
    if out is not None:
        _write(Path(out), card, split, setting)
    return card


def page_path(folder: Path, cases: str) -> Path:
    """Returns where the page of a diagnosis is written."""
    return folder / ("card.html" if cases == "test" else f"card-{cases}.html")


def _loaded(run: AnyRun) -> Run:
    return run if isinstance(run, Run) else Run.load(Path(run))


def _taken_apart(run: Run) -> Multimodal:
    model = run.model
    if not isinstance(model, Multimodal) or not model.modalities:
        raise ConfigError(
            f"The model {run.info['model']} reads neither texts nor pictures; "
            "there is nothing to diagnose.",
            "Diagnose a run of a model that does, such as sasrec-content.",
        )
    return model


def _check_names(modalities: tuple[str, ...], cases: str, alone: Mapping[str, AnyRun]) -> None:
    if cases not in CASES:
        raise ConfigError(f"Unknown cases '{cases}'.", nearest(cases, CASES))
    for name in alone:
        if name not in modalities:
            raise ConfigError(
                f"A run for '{name}' alone was given; the model reads {' and '.join(modalities)}.",
                nearest(name, modalities),
            )


def _setting(run: Run, split: Split, cases: str, seed: int) -> Setting:
    test = cases == "test"
    chosen = split.test if test else split.valid
    if not len(chosen):
        raise DataError(f"The {split.name} split has no {cases} cases to diagnose on.")
    return Setting(
        cases=chosen,
        candidates=split.test_candidates if test else split.training_items,
        filter_seen=bool(run.info["filter_seen"]),
        streams=Streams(seed),
    )


def _subject(run: Run, split: Split, cases: str, seed: int) -> Subject:
    return Subject(
        model=run.info["model"],
        dataset=dataset_name(run),
        split=split.name,
        cases=cases,
        loss=run.info["loss"],
        run="" if run.folder is None else str(run.folder),
        seed=seed,
    )


def _measured(
    whole: Run, alone: Run, modality: str, setting: Setting, device: torch.device
) -> Alone:
    folder = "" if alone.folder is None else alone.folder.name
    with _placed(alone, device):
        # Item vectors are made anew, on the device, as they are for every view of the whole.
        found = rank_alone(_taken_apart(alone).ranker_with({}), setting)
    return Alone(found, folder, differing_options(whole, alone, modality))


@contextmanager
def _placed(run: Run, device: torch.device) -> Generator[None]:
    """Moves a model to a device and back, because runs in memory are kept on the CPU."""
    try:
        run.model.to(device)
        yield
    finally:
        run.model.cpu()


def _write(folder: Path, card: Card, split: Split, setting: Setting) -> None:
    page = page_path(folder, card.subject.cases)
    write_json(page.with_suffix(".json"), card.to_json())
    write_card_page(page, card, _gallery(card, split, setting))


def _gallery(card: Card, split: Split, setting: Setting) -> Gallery:
    """Returns the examples with titles and pictures."""
    cards, users = ItemCards(split.dataset), card.examples.users
    items = tuple(
        ItemNeighbours(
            cards.of([one.item])[0], {name: cards.of(ids) for name, ids in one.neighbours.items()}
        )
        for one in card.examples.items
    )
    views = list(users[0].lists) if users else []
    longest = max((len(ids) for one in users for ids in one.lists.values()), default=0)
    lists = {
        view: np.array([_filled(one.lists[view], longest) for one in users], dtype=np.int64)
        for view in views
    }
    ranks = {view: np.array([one.ranks[view] for one in users]) for view in views}
    rows = np.array([one.row for one in users], dtype=np.int64)
    people = shown_people(split.dataset, setting.cases.subset(rows), lists, ranks)
    return Gallery(items, people)


def _filled(ids: tuple[int, ...], length: int) -> list[int]:
    return [*ids, *[0] * (length - len(ids))]
