"""Item vectors that start from given ones, against numpy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from vlmrec.core.random import Streams
from vlmrec.items.content_tower import RawContent
from vlmrec.items.principal_axes import principal_axes
from vlmrec.items.vector_table import VECTORS, VectorTable
from vlmrec.models import GRU4Rec, SASRec
from vlmrec.models.spec import CatalogShape, draw_weights

N, WIDTH = 40, 6
TRAINING = torch.arange(1, 31)


def given(width: int = WIDTH, missing: tuple[int, ...] = (3, 35)) -> RawContent:
    rng = Streams(1).numpy("given")
    mixed = rng.standard_normal((N + 1, width)) @ rng.standard_normal((width, width))
    vectors = torch.as_tensor(mixed * 10.0 ** np.arange(width) + 5, dtype=torch.float32)
    present = torch.ones(N + 1, dtype=torch.bool)
    present[[0, *missing]] = False
    return RawContent(vectors * present[:, None], present)


def table(size: int | None, *, tuned: bool = False, raw: RawContent | None = None) -> VectorTable:
    raw = raw or given()
    width = raw.vectors.shape[1]
    built = VectorTable(n_items=N, width=width, dim=5, size=size, tuned=tuned)
    draw_weights(built, Streams(0).torch("init"))
    built.load({VECTORS: raw}, TRAINING)
    return built


def oracle(raw: RawContent, size: int) -> np.ndarray:
    """Correlation PCA of the training items; all others are turned the same way."""
    known = raw.present.numpy() & np.isin(np.arange(N + 1), TRAINING.numpy())
    x = raw.vectors.numpy().astype(np.float64)
    seen = x[known]
    standard = (x - seen.mean(axis=0)) / seen.std(axis=0)
    _, _, axes = np.linalg.svd(standard[known], full_matrices=False)
    z = standard @ axes[:size].T
    z /= np.sqrt((z[known] ** 2).mean())
    z[~raw.present.numpy()] = 0
    return z


def up_to_sign(z: Tensor, other: np.ndarray) -> np.ndarray:
    return other * np.sign((z.numpy() * other).sum(axis=0))


@pytest.mark.parametrize("width", [WIDTH, 50])  # more items than dimensions, and fewer
def test_the_table_is_the_correlation_pca_of_numpy(width):
    raw = RawContent(torch.randn(N + 1, width, generator=Streams(2).torch("x")), given().present)
    z = table(4, raw=raw).table
    np.testing.assert_allclose(z, up_to_sign(z, oracle(raw, 4)), atol=2e-5)


def test_axes_keep_their_spread_and_none_is_blown_up():
    z = table(4).table[TRAINING]
    spread = z.std(dim=0)
    assert (spread[:-1] > spread[1:]).all()
    assert spread[0] > 1.5 * spread[-1]
    assert z[given().present[TRAINING]].square().mean() == pytest.approx(1.0, abs=1e-5)


def test_items_outside_training_change_nothing_but_are_turned_too():
    raw = given()
    vectors = raw.vectors.clone()
    vectors[36] *= 100
    plain, other = table(4).table, table(4, raw=RawContent(vectors, raw.present)).table
    same = torch.arange(N + 1) != 36
    assert torch.equal(plain[same], other[same])
    assert not torch.equal(plain[36], other[36])
    assert plain[36].any()


def test_the_order_and_sign_of_axes_do_not_depend_on_the_order_of_rows():
    rows = given().vectors[1:]
    rows = rows - rows.mean(dim=0)
    turned = rows.flip(0)
    torch.testing.assert_close(principal_axes(rows, 3), principal_axes(turned, 3))
    axes = principal_axes(rows, 3)
    assert (axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)) > 0).all()
    torch.testing.assert_close(axes.T @ axes, torch.eye(3), atol=1e-6, rtol=0)


def test_axes_beyond_the_rank_are_zero():
    rows = torch.outer(torch.linspace(-1, 1, 9), torch.tensor([3.0, 4.0, 0.0]))
    expected = torch.tensor([[0.6, 0], [0.8, 0], [0, 0]])
    torch.testing.assert_close(principal_axes(rows, 2), expected)
    few = torch.randn(3, 8, generator=Streams(3).torch("few"))
    axes = principal_axes(few - few.mean(dim=0), 5)
    assert torch.isfinite(axes).all()
    assert axes.any(dim=0).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("size", [None, WIDTH, 100])
def test_all_dimensions_are_kept_as_they_are_standardised(size):
    raw = given()
    known = TRAINING[raw.present[TRAINING]]
    kept = table(size)
    x = raw.vectors.double()
    z = (x - x[known].mean(dim=0)) / x[known].std(dim=0, correction=0)
    z = z.float().masked_fill(~raw.present[:, None], 0.0)
    torch.testing.assert_close(kept.table, z, atol=1e-5, rtol=1e-4)


def test_an_item_without_a_vector_stands_at_the_mean_of_all():
    built = table(4)
    with torch.no_grad():
        built.adapter.bias.fill_(0.5)
    vectors = built()
    torch.testing.assert_close(vectors[3], built.adapter.bias)
    known = TRAINING[given().present[TRAINING]]
    torch.testing.assert_close(vectors[known].mean(dim=0), built.adapter.bias)
    torch.testing.assert_close(built(torch.tensor([7, 3])), vectors[[7, 3]])


def test_no_training_item_has_a_vector():
    raw = given(missing=tuple(range(1, 31)))
    assert not table(4, raw=raw).table.any()


@pytest.mark.parametrize("tuned", [False, True])
def test_tuned_vectors_learn_and_frozen_ones_do_not(tuned):
    built = table(4, tuned=tuned)
    torch.testing.assert_close(built.table.detach(), table(4).table)  # where they start
    built().square().sum().backward()
    assert built.adapter.weight.grad is not None
    names = {name for name, _ in built.named_parameters()}
    assert names == {"adapter.weight", "adapter.bias"} | ({"table"} if tuned else set())
    assert "table" in built.state_dict()
    if tuned:
        assert built.table.grad is not None
        assert built.table.grad[7].any()


@pytest.mark.parametrize("kind", [SASRec, GRU4Rec])
def test_the_models_build_what_they_are_told(kind):
    shape = CatalogShape(N, {VECTORS: WIDTH})
    assert kind().content() == {}
    assert kind().build(CatalogShape(N)).items.weight.shape == (N + 1, 64)
    assert kind(vectors="some.npy").content() == {VECTORS: "some.npy"}
    items = kind(vectors="some.npy", vectors_dim=3).build(shape).items
    assert items().shape == (N + 1, 64)
    assert items.table.shape == (N + 1, 3)
    assert not isinstance(items.table, torch.nn.Parameter)
    tuned = kind(vectors="some.npy", vectors_mode="tuned").build(shape).items
    assert isinstance(tuned.table, torch.nn.Parameter)
    assert tuned.table.shape == (N + 1, WIDTH)
