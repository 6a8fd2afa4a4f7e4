"""HLLM learns which words go together; events dealt anew teach nothing.

A history's own words tell part of the next item without any learning, so what was learned shows
in the cases whose target shares no word with its history. The number of epochs was found on
other seeds than the one tested.
"""

import numpy as np
import pytest
from tests import molar_worlds as worlds

from vlmrec.evaluation.evaluator import evaluate_ranker
from vlmrec.models import HLLM
from vlmrec.pipeline.fitting import fit
from vlmrec.train.options import TrainOptions
from vlmrec.vlm.toy import ToyOptions, make_toy

pytestmark = pytest.mark.slow
SEED = 7
MAX_LEN = 5
PROMPT = "Compress the following item into embedding:"
OPTIONS = TrainOptions(
    epochs=8, valid_every=8, batch_size=16, learning_rate=2e-3, schedule="cosine", warmup_steps=30,
    device="cpu", seed=SEED,
)  # fmt: skip


def without_shared_words(split):
    """Returns the test cases whose target shares no telling word with its history."""
    words = ["", *(text.split()[0] for text in split.dataset.catalog.texts())]
    past = split.test.histories.padded(np.arange(len(split.test)), MAX_LEN)
    new = [
        row
        for row, target in enumerate(split.test.targets)
        if words[target] not in {words[item] for item in past[row]}
    ]
    return split.test.subset(np.array(new))


def shares(world, folder):
    """Returns where HLLM stands between chance (0) and a ranker that knows the plan (1).

    First over all test cases, then over those without shared words.
    """
    split = worlds.write_world(world, folder / "pictures").leave_one_out()
    make_toy([*world.titles, PROMPT], folder / "toy", ToyOptions(spread=0.1), seed=SEED)
    spec = HLLM.parse(
        {
            "backbone": str(folder / "toy"), "vlm": {"tokens_per_batch": 16384}, "chunk": 1024,
            "max_len": MAX_LEN, "standardise": True, "objective": {"n_negatives": 128},
        },
        "a test",
    )  # fmt: skip
    ranker = fit(spec, split, options=OPTIONS, filter_seen=True, quiet=True).ranker()
    found = []
    for cases in (split.test, without_shared_words(split)):
        measured = evaluate_ranker(
            ranker,
            cases,
            metrics=[world.metric],
            filter_seen=True,
            candidates=np.unique(split.test.targets),
            n_resamples=1,
        )
        reached = measured.metrics[world.metric].mean
        found.append((reached - world.floor) / (world.reachable - world.floor))
    return found


def test_words_that_go_together_are_learned_unless_events_are_dealt_anew(tmp_path):
    world = worlds.text_world(SEED, n_groups=12, n_words=4)
    every, new = shares(world, tmp_path / "world")
    assert every >= 0.5
    assert new >= 0.2
    _, new = shares(worlds.with_shuffled_events(world), tmp_path / "shuffled")
    assert new <= 0.1
