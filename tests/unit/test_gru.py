"""The GRU against the gates written out, and how its weights are drawn."""

import pytest
import torch
from torch import Tensor, nn

from vlmrec.core.dropout import DropoutStream, attach
from vlmrec.core.random import Streams
from vlmrec.models.spec import draw_weights
from vlmrec.users.gru import CausalGRU

B, T, D = 3, 6, 4


def gru(hidden: int = 5, n_layers: int = 2, dropout: float = 0.0) -> CausalGRU:
    model = CausalGRU(
        dim=D, hidden=hidden, n_layers=n_layers, dropout=dropout, embedding_dropout=dropout
    )
    draw_weights(model, Streams(0).torch("init"))
    with torch.no_grad():  # biases are drawn as 0; here they must count
        generator = Streams(1).torch("noise")
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.3)
    return model


def by_hand(layer: nn.GRU, vectors: Tensor) -> Tensor:
    state = torch.zeros(len(vectors), layer.hidden_size)
    states = []
    for t in range(vectors.shape[1]):
        come = vectors[:, t] @ layer.weight_ih_l0.T + layer.bias_ih_l0
        stay = state @ layer.weight_hh_l0.T + layer.bias_hh_l0
        (reset, update, new), (r, u, n) = come.chunk(3, dim=1), stay.chunk(3, dim=1)
        reset, update = torch.sigmoid(reset + r), torch.sigmoid(update + u)
        state = (1 - update) * torch.tanh(new + reset * n) + update * state
        states.append(state)
    return torch.stack(states, dim=1)


def vectors(seed: int = 2) -> Tensor:
    return torch.randn(B, T, D, generator=Streams(seed).torch("x"))


@pytest.mark.parametrize("hidden", [D, 5])
def test_states_are_those_of_the_written_gates(hidden):
    model = gru(hidden).eval()
    states = torch.nn.functional.layer_norm(
        vectors(), (D,), model.input_norm.weight, model.input_norm.bias
    )
    for layer in model.layers:
        states = by_hand(layer, states)
    if hidden != D:
        states = states @ model.project.weight.T + model.project.bias
    found = model(vectors(), torch.ones(B, T, dtype=torch.bool))
    torch.testing.assert_close(found, states)
    assert isinstance(model.project, nn.Identity) == (hidden == D)


def test_a_state_sees_neither_later_items_nor_padding():
    model = gru().eval()
    before, mask = vectors(), torch.ones(B, T, dtype=torch.bool)
    states = model(before, mask)
    for t in range(1, T):
        changed = before.clone()
        changed[:, t:] = vectors(seed=9)[:, t:]
        again = model(changed, mask)
        torch.testing.assert_close(again[:, :t], states[:, :t])
        assert (again[:, t:] - states[:, t:]).abs().amax(dim=(0, 2)).min() > 1e-3
        torch.testing.assert_close(model(before[:, :t], mask[:, :t]), states[:, :t])


def test_dropout_comes_from_the_stream_alone():
    model, mask = gru(dropout=0.4).train(), torch.ones(B, T, dtype=torch.bool)
    stream = DropoutStream(Streams(0))
    attach(model, stream)
    outcomes = []
    for step in (1, 1, 2):
        stream.begin(step)
        torch.manual_seed(len(outcomes))
        outcomes.append(model(vectors(), mask))
    assert torch.equal(outcomes[0], outcomes[1])
    assert not torch.equal(outcomes[0], outcomes[2])


def test_all_weights_come_from_the_generator():
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(drawn))  # torch's own drawing depends on it
        model = CausalGRU(dim=D, hidden=9, n_layers=2, dropout=0.0, embedding_dropout=0.0)
        draw_weights(model, Streams(seed).torch("init"))
        drawn.append(model.state_dict())
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])
    matrices = [name for name in drawn[0] if "weight_" in name]
    assert not any(torch.equal(drawn[0][name], drawn[2][name]) for name in matrices)
    assert not drawn[0]["layers.0.bias_hh_l0"].any()
    wide = drawn[0]["layers.1.weight_hh_l0"]
    assert wide.abs().max() <= 1 / 3
    assert wide.std() == pytest.approx(1 / 3 / 3**0.5, rel=0.1)
