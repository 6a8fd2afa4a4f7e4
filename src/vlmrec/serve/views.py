"""The run that is served as it reads words alone, pictures alone, both or neither."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlmrec.core.content_change import ContentChange
from vlmrec.core.errors import ConfigError
from vlmrec.core.protocols import Growing, KnownReader, Multimodal, Ranker, VectorRanker
from vlmrec.index.exact import ExactIndex
from vlmrec.pipeline.run import Run, vectors_of
from vlmrec.pipeline.viewing import View
from vlmrec.serve.asking import Answer, Ask, answer_all
from vlmrec.serve.live import Live

Modality = Literal["text", "image"]
MODALITIES: tuple[Modality, ...] = ("text", "image")
_BOTH = frozenset(MODALITIES)
_WORD = {"text": "words", "image": "pictures"}


def modalities_of(live: Live) -> tuple[str, ...]:
    """Returns what the model reads of an item; empty where it knows items by their id alone."""
    model = live.run.model
    return tuple(model.modalities) if isinstance(model, KnownReader) else ()


def takes_new_items(live: Live) -> bool:
    """Returns whether items can be added: the model makes vectors of their content."""
    run = live.run
    return run.item_vectors is not None and bool(run.spec.content() or modalities_of(live))


def reads_both(live: Live) -> bool:
    """Returns whether words and pictures can be taken apart."""
    return isinstance(live.run.model, Multimodal) and set(modalities_of(live)) == _BOTH


@torch.inference_mode()
def scores_without(
    live: Live, history: NDArray[np.int64], row: int, absences: Sequence[tuple[str, ...]]
) -> list[float]:
    """Returns the score of an item after a history, each time with other modalities absent.

    Args:
        live: What is served; the model reads both, see `reads_both`.
        history: ``[T]`` internal ids.
        row: Internal id of the item.
        absences: What no item shows.
    """
    run = live.run
    if not is_frozen(run):
        rankers = [run.lifted(_read_without(live, absent)) for absent in absences]
        return [_score(one, history, row) for one in rankers]
    vectors, lift = run.item_vectors, run.offset if run.added[row] else 0.0
    assert vectors is not None  # noqa: S101 - it has content
    # Tables of nothing but what is asked for: a change must not cost tables of all items.
    ids, places = np.unique([0, row, *history], return_inverse=True)
    scores = []
    for absent in absences:
        table = vectors[ids]
        if absent:
            table = _view(live, absent).rows(run, ids.tolist(), live.placing)
        ranker = run.model.ranker(table)
        scores.append(_score(ranker, places[2:], int(places[1])) + lift)
    return scores


def _score(ranker: Ranker, history: NDArray[np.int64], row: int) -> float:
    query = ranker.encode(torch.as_tensor(history, device=ranker.device)[None])
    return float(ranker.score(query, row, row + 1))


def is_frozen(run: Run) -> bool:
    """Returns whether the model makes item vectors from frozen content, not by reading."""
    return bool(_BOTH & run.spec.content().keys())


@torch.inference_mode()
def made_by(live: Live, modality: Modality, ids: Sequence[int]) -> tuple[Tensor, Tensor] | None:
    """Returns what a model makes of items that show one modality alone, None without vectors.

    Args:
        live: What is served; the model reads the modality.
        modality: Which.
        ids: ``[n]`` internal ids.

    Returns:
        Their vectors ``[n, D]``, and those ``[I' + 1, D]`` of the items that training knew, and
        perhaps of others behind them.
    """
    run, rows = live.run, torch.as_tensor(ids)
    absent = tuple(_BOTH - {modality})
    if not reads_both(live):
        every = run.item_vectors
    elif is_frozen(run):
        view = _view(live, absent)
        return view.rows(run, ids, live.placing), view.trained
    else:
        plain = _read_without(live, absent)
        every = plain.item_vectors.cpu() if isinstance(plain, VectorRanker) else None
    return None if every is None else (every[rows], every)


def _view(live: Live, absent: tuple[str, ...]) -> View:
    """Returns the items without some modalities, of a model over frozen content."""
    if absent not in live.views:
        live.views[absent] = View(live.run, absent)
    return live.views[absent]


def _read_without(live: Live, absent: tuple[str, ...]) -> Ranker:
    """Returns the ranker of a model that reads items itself, without some modalities."""
    model, run = live.run.model, live.run
    if not absent:
        return model.ranker(run.item_vectors)
    gone = dict.fromkeys(absent, ContentChange.absent(run.items.height))
    known = live.read.get(absent)
    if known is None:
        assert isinstance(model, Multimodal)  # noqa: S101 - asked before
        known = model.ranker_with(gone)
    elif known.n_items < run.items.height:
        assert isinstance(model, Growing)  # noqa: S101 - it reads items itself
        vectors = vectors_of(known)
        known = model.ranker_with(gone) if vectors is None else model.ranker_grown(gone, vectors)
    live.read[absent] = known
    return known


def seen_by(live: Live, modality: Modality) -> Live:
    """Returns what is served as the model sees it that reads one modality alone.

    Items that do not have it are not in its lists.

    Raises:
        ConfigError: The model does not read both.
    """
    if modality in live.alone:
        return live.alone[modality]
    if not reads_both(live):
        read = " and ".join(_WORD[name] for name in modalities_of(live)) or "neither"
        raise ConfigError(
            f"The list was to come of {_WORD[modality]} alone, but of words and pictures the "
            f"model '{live.run.spec.name}' reads {read}.",
            "Serve a model that reads both, such as sasrec-content.",
        )
    run, absent = live.run, tuple(_BOTH - {modality})
    if is_frozen(run):
        view = _view(live, absent)
        vectors, left = view.table(run, live.placing), view.readable(run)
        ranker = run.lifted(run.model.ranker(vectors))
    else:
        plain = _read_without(live, absent)
        vectors, ranker = vectors_of(plain), run.lifted(plain)
        left = live.present if vectors is None else vectors.any(dim=1)
    one = replace(
        live,
        run=replace(run, item_vectors=vectors),
        ranker=ranker,
        index=ExactIndex(ranker),
        present=live.present & left,
        masks={},
        alone={},
    )
    live.alone[modality] = one
    return one


def answer_as_seen(live: Live, ask: Ask, modality: Modality | None) -> Answer:
    """Returns a list at once, without waiting for others; by one modality alone, if it is named.

    Raises:
        ConfigError: The model does not read both, or the filter cannot be read.
    """
    answer = answer_all(live if modality is None else seen_by(live, modality), [ask])[0]
    if isinstance(answer, Exception):
        raise answer
    return answer
