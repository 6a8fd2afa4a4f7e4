"""Frozen vectors that others show, that nobody shows, or that turn into noise."""

import pytest
import torch

from vlmrec.core.content_change import ContentChange
from vlmrec.core.random import Streams
from vlmrec.items.content_changes import changed
from vlmrec.items.content_tower import RawContent

N, W = 4000, 3


@pytest.fixture
def content() -> RawContent:
    spread = torch.tensor([1.0, 10.0, 0.0])
    vectors = torch.randn(N + 1, W, generator=Streams(0).torch("x")) * spread + 5
    present = torch.ones(N + 1, dtype=torch.bool)
    present[[0, 2]] = False
    return RawContent(vectors.masked_fill(~present[:, None], 0.0), present)


def test_an_item_shows_what_another_has(content):
    shown = torch.arange(N + 1)
    shown[[1, 3, 4, 5]] = torch.tensor([7, 2, 0, 4])
    after = changed(content, ContentChange(shown))
    assert torch.equal(after.vectors[1], content.vectors[7])
    assert after.present[[0, 1, 2, 3, 4, 5]].tolist() == [False, True, False, False, False, True]
    assert not after.vectors[[3, 4]].any()
    assert torch.equal(after.vectors[5], content.vectors[4])
    assert torch.equal(after.vectors[6:], content.vectors[6:])


def test_absent_is_absent(content):
    after = changed(content, ContentChange.absent(N))
    assert not after.present.any()
    assert not after.vectors.any()


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_noise_keeps_mean_and_spread_and_loses_the_items(content, share):
    after = changed(content, ContentChange(noise=share, seed=1))
    assert torch.equal(after.present, content.present)
    old, new = content.vectors[content.present], after.vectors[after.present]
    torch.testing.assert_close(new.mean(dim=0), old.mean(dim=0), atol=0.4, rtol=0)
    torch.testing.assert_close(new.std(dim=0), old.std(dim=0), atol=0.4, rtol=0.05)
    likeness = torch.corrcoef(torch.stack([old[:, 1], new[:, 1]]))[0, 1]
    assert float(likeness) == pytest.approx((1 - share) ** 0.5, abs=0.05)


def test_noise_grows_in_one_direction(content):
    """Half of the noise at share 1 is in the noise at share 1/4: curves are not bent by luck."""
    mean = content.vectors[content.present].mean(dim=0)
    foreign = [
        changed(content, ContentChange(noise=share, seed=1)).vectors
        - (mean + (1 - share) ** 0.5 * (content.vectors - mean))
        for share in (0.25, 1.0)
    ]
    kept = content.present
    torch.testing.assert_close(2 * foreign[0][kept], foreign[1][kept], atol=1e-4, rtol=1e-4)
    other = changed(content, ContentChange(noise=1.0, seed=2)).vectors
    assert not torch.allclose(other, changed(content, ContentChange(noise=1.0, seed=1)).vectors)
