from dataclasses import replace

import pytest
import torch

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.vlm.families.base import PromptBatch
from vlmrec.vlm.readout import read_out, require_pooling

TOKEN = 9


def flags(*rows):
    return torch.tensor([[mark != "-" for mark in row] for row in rows])


# Two prompts of 6 and 4 tokens, the first with an answer of 2, padded on either side. Places are
# numbered, so that a mean tells which were taken.
RIGHT = PromptBatch(
    ids=torch.tensor([[1, TOKEN, 3, 4, TOKEN, 6, TOKEN, 8], [1, TOKEN, 3, 4, 0, 0, TOKEN, 0]]),
    mask=flags("xxxxxxxx", "xxxx----"),
    filled=flags("--xx----", "--x-----"),
    prefix=flags("xxxxxx--", "xxxx----"),
    textual=flags("xx--xxxx", "x--x----"),
    features=[],
    pictures=[1, 1],
)
LEFT = PromptBatch(
    ids=RIGHT.ids.flip(1),
    mask=RIGHT.mask.flip(1),
    filled=RIGHT.filled.flip(1),
    prefix=flags("xxxxxx--", "----xxxx"),
    textual=flags("xxxx--xx", "----x--x"),
    features=[],
    pictures=[1, 1],
)
PLACES = torch.arange(8.0).expand(2, 8)


def read(batch, pooling, special=None, normalize=False):
    states = torch.stack([PLACES, torch.ones(2, 8)], dim=-1)
    states[~batch.mask] = float("nan")
    return read_out(states.bfloat16(), batch, pooling, special, normalize=normalize)


@pytest.mark.parametrize(
    ("batch", "pooling", "special", "wanted"),
    [
        (RIGHT, "last", None, [5, 3]),
        (RIGHT, "mean", None, [2.5, 1.5]),
        (RIGHT, "mean-image", None, [2.5, 2]),
        (RIGHT, "mean-text", None, [2.5, 1.5]),
        (RIGHT, "[Cur_Item]", TOKEN, [4, 1]),
        (LEFT, "last", None, [5, 7]),
        (LEFT, "mean", None, [2.5, 5.5]),
        (LEFT, "mean-image", None, [4.5, 5]),
        (LEFT, "mean-text", None, [1.5, 5.5]),
        (LEFT, "[Cur_Item]", TOKEN, [3, 6]),
    ],
)
def test_places_of_the_prompt_alone_are_read(batch, pooling, special, wanted):
    vectors = read(batch, pooling, special)
    assert vectors.dtype == torch.float32
    assert vectors.tolist() == [[value, 1.0] for value in wanted]


def test_normalised_vectors_have_length_one():
    vectors = read(RIGHT, "last", normalize=True)
    torch.testing.assert_close(vectors[0], torch.tensor([5.0, 1.0]) / 26**0.5)


def test_a_prompt_without_such_a_place():
    batch = replace(RIGHT, filled=flags("--xx----", "--------"))
    with pytest.raises(DataError, match=r"'mean-image' finds no such place in 1 of 2.*Put one"):
        read(batch, "mean-image")
    # An answer's token does not count.
    batch = replace(RIGHT, ids=torch.tensor([[1, 2, 3, 4, 5, 6, TOKEN, 8], [0, 0, 0, 0] * 2]))
    with pytest.raises(DataError, match=r"'\[Cur_Item\]' finds no such place in 2 of 2"):
        read(batch, "[Cur_Item]", TOKEN)


def test_unknown_pooling():
    with pytest.raises(ConfigError, match=r"'first' is neither one of last, mean, .*Add the token"):
        require_pooling("first", None)
    for known in ("last", "mean", "mean-text", "mean-image"):
        require_pooling(known, None)
    require_pooling("[Cur_Item]", TOKEN)
