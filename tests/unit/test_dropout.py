import pytest
import torch
from torch import nn

from vlmrec.core.dropout import Dropout, DropoutStream, attach
from vlmrec.core.random import Streams


class Two(nn.Module):
    def __init__(self, p: float = 0.3) -> None:
        super().__init__()
        self.rows = Dropout(p)
        self.table = Dropout(p, per_row=False)


def attached(step=0, first_row=0, total_rows=None, seed=0, p=0.3):
    model = Two(p)
    stream = DropoutStream(Streams(seed))
    attach(model, stream)
    stream.begin(step, first_row, total_rows)
    return model


ONES = torch.ones(6, 50)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_and_the_scale(p):
    out = attached(p=p).rows(torch.ones(300, 400))
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert torch.unique(out).tolist() == pytest.approx([0.0, 1 / (1 - p)])


def test_evaluation_drops_nothing():
    model = attached().eval()
    assert model.rows(ONES) is ONES
    assert attached(p=0.0).rows(ONES) is ONES


def test_seed_step_module_and_call_decide_a_mask():
    model = attached()
    first, second = model.rows(ONES), model.rows(ONES)
    assert not first.equal(second)
    assert not first.equal(model.table(ONES))
    assert attached().rows(ONES).equal(first)
    assert not attached(step=1).rows(ONES).equal(first)
    assert not attached(seed=1).rows(ONES).equal(first)


def test_a_new_step_starts_counting_calls_again():
    model = attached()
    first = model.rows(ONES)
    stream = model.rows.stream
    stream.begin(0)
    assert model.rows(ONES).equal(first)


def test_shards_of_a_batch_are_slices_of_its_mask():
    whole = attached(total_rows=6).rows(ONES)
    parts = [
        attached(first_row=first, total_rows=6).rows(ONES[first:stop])
        for first, stop in ((0, 1), (1, 1), (1, 6))
    ]
    assert torch.cat(parts).equal(whole)
    assert attached().rows(ONES).equal(whole)


def test_what_does_not_depend_on_rows_is_the_same_in_every_shard():
    whole = attached().table(ONES)
    assert attached(first_row=3, total_rows=6).table(ONES).equal(whole)


def test_an_item_loses_the_same_wherever_it_stands():
    ids = torch.tensor([3, 900_000, 7, 0, 3, 12])
    whole = attached().table(ONES, ids)
    assert whole[0].equal(whole[4])
    some = torch.tensor([1, 5])
    assert attached().table(ONES[some], ids[some]).equal(whole[some])
    assert not attached(step=1).table(ONES, ids).equal(whole)
    assert not whole[0].equal(whole[1])


def test_items_and_elements_are_dropped_independently():
    out = attached(p=0.3).table(torch.ones(2000, 150), torch.arange(2000)) == 0
    assert out.float().mean().item() == pytest.approx(0.3, abs=0.005)
    assert out.float().mean(dim=0).sub(0.3).abs().max() < 0.06
    assert out.float().mean(dim=1).sub(0.3).abs().max() < 0.17
    together = (out[:, 1:] & out[:, :-1]).float().mean().item()
    below = (out[1:] & out[:-1]).float().mean().item()
    assert (together, below) == pytest.approx((0.09, 0.09), abs=0.004)


def test_without_a_stream_it_is_ordinary_dropout():
    torch.manual_seed(0)
    out = Dropout(0.5)(torch.ones(1000))
    assert 400 < int((out == 0).sum()) < 600


def test_the_gradient_passes_where_the_value_did():
    values = torch.ones(6, 50, requires_grad=True)
    out = attached().rows(values)
    out.sum().backward()
    assert values.grad.equal(out.detach())
