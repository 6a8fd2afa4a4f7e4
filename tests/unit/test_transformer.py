"""The transformer against the same blocks written with torch's own layers."""

import pytest
import torch
from torch import nn

from vlmrec.core.dropout import DropoutStream, attach
from vlmrec.core.errors import ConfigError
from vlmrec.core.random import Streams
from vlmrec.models import SASRec
from vlmrec.models.spec import draw_weights
from vlmrec.users.transformer import BidirectionalTransformer, CausalTransformer, ItemTransformer

B, T, D, H = 3, 7, 8, 2


def transformer(norm: str, dropout: float = 0.0, kind=CausalTransformer) -> ItemTransformer:
    model = kind(dim=D, n_layers=2, n_heads=H, max_len=10, dropout=dropout, hidden=12, norm=norm)
    draw_weights(model, Streams(0).torch("init"))
    generator = Streams(1).torch("noise")
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.3)
    return model


def plain(model, states: torch.Tensor, norm: str, padding=None) -> torch.Tensor:
    causal = padding is None
    states = model.input_norm(states)
    for block in model.blocks:
        layer = nn.TransformerEncoderLayer(
            D, H, 12, dropout=0.0, activation="gelu", batch_first=True, norm_first=norm == "pre"
        )
        ours = block.state_dict()
        layer.load_state_dict(
            {
                "self_attn.in_proj_weight": ours["attention.project.weight"],
                "self_attn.in_proj_bias": ours["attention.project.bias"],
                "self_attn.out_proj.weight": ours["attention.output.weight"],
                "self_attn.out_proj.bias": ours["attention.output.bias"],
                "linear1.weight": ours["expand.weight"],
                "linear1.bias": ours["expand.bias"],
                "linear2.weight": ours["contract.weight"],
                "linear2.bias": ours["contract.bias"],
                "norm1.weight": ours["attention_norm.weight"],
                "norm1.bias": ours["attention_norm.bias"],
                "norm2.weight": ours["forward_norm.weight"],
                "norm2.bias": ours["forward_norm.bias"],
            }
        )
        mask = nn.Transformer.generate_square_subsequent_mask(T) if causal else None
        states = layer.train()(
            states, src_mask=mask, src_key_padding_mask=padding, is_causal=causal
        )
    return model.output_norm(states)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_states_are_those_of_torchs_own_layers(norm):
    model = transformer(norm).eval()
    vectors = torch.randn(B, T, D, generator=Streams(2).torch("x"))
    mask = torch.ones(B, T, dtype=torch.bool)
    torch.testing.assert_close(
        model(vectors, mask),
        plain(model, vectors + model.positions[:T], norm),
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_states_that_see_both_sides_are_those_of_torchs_own_layers(norm):
    """Rows of different lengths; positions count from each row's last item."""
    model = transformer(norm, kind=BidirectionalTransformer).eval()
    vectors = torch.randn(B, T, D, generator=Streams(2).torch("x"))
    lengths = torch.tensor([T, 4, 1])
    mask = torch.arange(T) < lengths[:, None]
    placed = vectors.clone()
    for row, length in enumerate(lengths.tolist()):
        placed[row, :length] += model.positions[:length].flip(0)
    expected = plain(model, placed, norm, padding=~mask)
    torch.testing.assert_close(model(vectors, mask)[mask], expected[mask], atol=1e-5, rtol=1e-5)


def test_with_dropout_padding_is_not_seen_either_and_nothing_is_nan():
    model = transformer("post", dropout=0.4, kind=BidirectionalTransformer).train()
    stream = DropoutStream(Streams(0))
    attach(model, stream)
    vectors = torch.randn(B, T, D, generator=Streams(2).torch("x"))
    mask = torch.arange(T) < torch.tensor([T, 4, 0])[:, None]
    changed = vectors.clone()
    changed[~mask] *= -3
    states = []
    for one in (vectors, changed):
        stream.begin(0)
        states.append(model(one, mask))
    assert torch.isfinite(states[0]).all()  # a row of padding alone, too
    torch.testing.assert_close(states[0][mask], states[1][mask])
    moved = vectors.clone()
    moved[1, 3] *= -3
    stream.begin(0)
    assert not torch.isclose(model(moved, mask)[1, :3], states[0][1, :3]).any(dim=1).all()


def test_the_path_with_dropout_is_the_fused_path_when_nothing_is_dropped():
    model = transformer("post", dropout=1e-9)
    attach(model, DropoutStream(Streams(0)))
    vectors = torch.randn(B, T, D, generator=Streams(2).torch("x"))
    mask = torch.ones(B, T, dtype=torch.bool)
    torch.testing.assert_close(
        model.train()(vectors, mask), model.eval()(vectors, mask), atol=1e-5, rtol=1e-5
    )


def test_training_with_dropout_is_causal_too():
    model = transformer("post", dropout=0.4).train()
    stream = DropoutStream(Streams(0))
    attach(model, stream)
    vectors = torch.randn(B, T, D, generator=Streams(2).torch("x"))
    mask = torch.ones(B, T, dtype=torch.bool)
    stream.begin(0)
    before = model(vectors, mask)
    changed = vectors.clone()
    changed[:, 4:] *= -3
    stream.begin(0)
    after = model(changed, mask)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="'dim' was given 10, which 4 heads do not divide"):
        SASRec(dim=10, n_heads=4).user_encoder()


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("kind", [CausalTransformer, BidirectionalTransformer])
@pytest.mark.parametrize("training", [False, True])
def test_one_state_a_row_is_that_of_all_states(norm, kind, training):
    """Values and gradients; with attention by hand (training) and by the fused kernel."""
    model = transformer(norm, dropout=1e-9 if training else 0.0, kind=kind).train(training)
    attach(model, DropoutStream(Streams(0)))
    lengths = torch.tensor([T, 4, 1])
    mask = torch.arange(T) < lengths[:, None]
    at = torch.tensor([T - 1, 1, 0])
    vectors = torch.randn(B, T, D, generator=Streams(2).torch("x")).requires_grad_()
    leaves = [vectors, *model.parameters()]
    weights = torch.randn(B, D, generator=Streams(3).torch("w"))

    def outcome(states):
        return torch.autograd.grad((states * weights).sum(), leaves, allow_unused=True)

    whole, one = model(vectors, mask)[torch.arange(B), at], model(vectors, mask, at)
    torch.testing.assert_close(one, whole, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(outcome(one), outcome(whole), strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
