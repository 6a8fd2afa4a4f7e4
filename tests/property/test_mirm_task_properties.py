"""Fine-tuning examples of user behaviour hold training rows only, whatever the log."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vlmrec.core.errors import DataError
from vlmrec.core.random import Streams
from vlmrec.data.dataset import Dataset
from vlmrec.models.mirm_tasks import MirmTasks, TaskOptions, make_examples
from vlmrec.vlm.prompts import ImagePart, TextPart

quick = settings(max_examples=60, deadline=None)
logs = st.lists(
    st.tuples(st.sampled_from("uvw"), st.sampled_from("abcdefgh"), st.integers(0, 20)),
    min_size=12,
    max_size=40,
)


def dataset_of(rows):
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    names = list("abcdefgh")
    titles = [f"<{name}>" for name in names]
    items = {"item_id": names, "title": titles, "description": [f"about {t}" for t in titles]}
    return Dataset.from_frames(log, pl.DataFrame(items))


def examples_of(histories, data, training_items, *, history=3, inputs="both", most=10_000):
    on = TaskOptions(n_examples=most)
    options = MirmTasks(image_text=None, attributes=None, behaviour=on, history=history)
    pictures = [None, *(Path(f"<{name}>.png") for name in data.items.names)]
    made = make_examples(
        data.catalog, histories, training_items, pictures,
        inputs=inputs, options=options, streams=Streams(0),
    )  # fmt: skip
    return made["behaviour"]


def told(example):
    """What one example gives away: items in words, items in pictures, and the answer."""
    words = " ".join(part.text for part in example.prompt if isinstance(part, TextPart))
    seen = [part.source.stem for part in example.prompt if isinstance(part, ImagePart)]
    return (*re.findall(r"(<.>): about", words),), (*seen,), example.answer


def expected(split, history, inputs="both"):
    """Every training event but a user's first, with those before it."""
    every = []
    for start, stop in zip(split.train.start, split.train.stop, strict=True):
        items = split.dataset.items.to_external(split.train.sequences.items[start:stop])
        titles = [f"<{name}>" for name in items]
        for place in range(1, len(titles)):
            past = tuple(titles[max(0, place - history) : place])
            words, seen = past if inputs != "image" else (), past if inputs != "text" else ()
            every.append((words, seen, titles[place]))
    return Counter(every)


def check_no_leak(examples, split, history, inputs="both"):
    """No example says more than the training rows do."""
    found = Counter(map(told, examples))
    assert not found - expected(split, history, inputs)
    trained = set(split.dataset.items.to_external(np.unique(split.train.flat())))
    everything = " ".join(f"{example.prompt} {example.answer}" for example in examples)
    assert set(re.findall(r"<(.)>", everything)) <= trained


@quick
@given(logs, st.sampled_from(["leave-one-out", "global-time", "cold"]), st.integers(1, 4),
       st.sampled_from(["both", "text", "image"]))  # fmt: skip
def test_behaviour_examples_are_the_training_events_and_nothing_else(rows, protocol, n, inputs):
    data = dataset_of(rows)
    try:
        split = {
            "leave-one-out": data.leave_one_out,
            "global-time": lambda: data.global_time(0.2, 0.2, "last"),
            "cold": lambda: data.cold_items(share=0.3, last=0.5, seed=0),
        }[protocol]()
    except DataError:
        assume(False)
    known = np.arange(1, data.n_items + 1) if split.training_items is None else split.training_items
    if not expected(split, n):
        with pytest.raises(DataError, match="No fine-tuning example could be made for behaviour"):
            examples_of(split.train, data, known, history=n, inputs=inputs)
        return
    examples = examples_of(split.train, data, known, history=n, inputs=inputs)
    check_no_leak(examples, split, n, inputs)
    assert Counter(map(told, examples)) == expected(split, n, inputs)
    few = examples_of(split.train, data, known, history=n, inputs=inputs, most=2)
    assert len(few) == min(2, len(examples))
    check_no_leak(few, split, n, inputs)


@quick
@given(logs)
def test_a_planted_leak_is_caught(rows):
    data = dataset_of(rows)
    assume(max(Counter(user for user, _, _ in rows).values()) >= 3)
    split = data.leave_one_out()
    known = np.arange(1, data.n_items + 1)
    leaking = examples_of(split.dataset.sequences.whole(), data, known)
    with pytest.raises(AssertionError):
        check_no_leak(leaking, split, 3)
