"""The run that is served as it reads words alone, pictures alone, both or neither."""

from dataclasses import replace
from typing import Literal

import torch

from vlmrec.core.content_change import ContentChange
from vlmrec.core.errors import ConfigError
from vlmrec.core.protocols import KnownReader, Multimodal, Ranker
from vlmrec.index.exact import ExactIndex
from vlmrec.pipeline.run import vectors_of
from vlmrec.serve.asking import Answer, Ask, answer_all
from vlmrec.serve.live import Live

Modality = Literal["text", "image"]
_BOTH = frozenset({"text", "image"})
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
def views_of(live: Live) -> tuple[Ranker, ...]:
    """Returns the model as it reads both, words alone, pictures alone, neither; made once.

    The views know the items of training. The model must read both, see `reads_both`.
    """
    if not live.views:
        model, n_trained = live.run.model, live.run.info["shape"]["n_items"]
        absent = ContentChange.absent(n_trained)
        assert isinstance(model, Multimodal)  # noqa: S101 - asked before
        changes: tuple[dict[str, ContentChange], ...] = (
            {},
            {"image": absent},
            {"text": absent},
            {"text": absent, "image": absent},
        )
        live.views.append(tuple(model.ranker_with(one) for one in changes))
    return live.views[0]


def seen_by(live: Live, modality: Modality) -> Live:
    """Returns what is served as the model sees it that reads one modality alone.

    Items that were added or changed since training are not in its lists: the content that the
    model was made with does not hold them.

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
    n_trained = live.run.info["shape"]["n_items"]
    view = views_of(live)[1 if modality == "text" else 2]
    items = live.run.items.head(n_trained)
    present = live.present[: n_trained + 1].clone()
    present[[row for row in live.changed if row <= n_trained]] = False
    names = live.names[: n_trained + 1]
    one = replace(
        live,
        run=replace(live.run, items=items, item_vectors=vectors_of(view)),
        ranker=view,
        index=ExactIndex(view),
        table=live.table.head(n_trained),
        rows={name: row for row, name in enumerate(names) if row},
        names=names,
        titles=live.titles[: n_trained + 1],
        present=present,
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
