import weakref

import pytest
import torch
from tests.reference.gradient_cache_oracle import gradient_cache_step
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from vlmrec.core.dropout import Dropout, DropoutStream, attach, stream_of
from vlmrec.core.errors import ConfigError
from vlmrec.core.random import Streams
from vlmrec.vlm.gradient_cache import encode_in_chunks

D = 6


class Encoder(nn.Module):
    """Rows are tensors [D] in a list; as with prompts, torch sees them only inside."""

    def __init__(self, dropout: nn.Module | None = None, width: int = 16) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.ModuleList(
                [nn.Linear(D, width), nn.Linear(width, width), nn.Linear(width, D)]
            )
        self.dropout = nn.Identity() if dropout is None else dropout
        self.sizes: list[int] = []
        self.double()

    def encode(self, rows):
        self.sizes.append(len(rows))
        states = torch.stack(list(rows))
        for layer in self.layers[:-1]:
            states = self.dropout(torch.tanh(layer(states)))
        return self.layers[-1](states)

    def gradients(self):
        found = [weight.grad.clone() for weight in self.parameters()]
        self.zero_grad()
        return found


def batch(n, seed=1):
    return list(torch.randn(n, D, generator=torch.Generator().manual_seed(seed)).double())


def contrast(vectors):
    """Returns the InfoNCE loss of neighbouring vectors; every vector touches every other."""
    vectors = F.normalize(vectors, dim=-1)
    scores = vectors @ vectors.roll(1, 0).T / 0.2
    return F.cross_entropy(scores, torch.arange(len(vectors)))


def with_stream(p=0.4):
    encoder = Encoder(Dropout(p))
    stream = DropoutStream(Streams(3))
    attach(encoder, stream)
    return encoder, stream


def kept_graph(encoder, rows, chunk_size):
    """Encodes by chunks as well, and keeps all activations."""
    chunks = [rows[start : start + chunk_size] for start in range(0, len(rows), chunk_size)]
    return torch.cat([encoder.encode(chunk) for chunk in chunks])


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 6, 7, 100])
def test_equals_the_whole_batch_in_loss_and_gradient(chunk_size):
    encoder, rows = Encoder(), batch(7)
    whole = contrast(encoder.encode(rows))
    whole.backward()
    wanted = encoder.gradients()
    vectors = encode_in_chunks(encoder.encode, rows, chunk_size)
    torch.testing.assert_close(vectors, encoder.encode(rows), rtol=0, atol=1e-14)
    loss = contrast(vectors)
    loss.backward()
    torch.testing.assert_close(loss, whole, rtol=0, atol=1e-14)
    torch.testing.assert_close(encoder.gradients(), wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("chunk_size", [2, 5])
def test_equals_the_paper_written_out(chunk_size):
    encoder, rows = Encoder(nn.Dropout(0.4)), batch(7)
    torch.manual_seed(5)
    wanted = gradient_cache_step(encoder.encode, rows, chunk_size, contrast)
    gradients = encoder.gradients()
    drawn = torch.rand(1)
    torch.manual_seed(5)
    loss = contrast(encode_in_chunks(encoder.encode, rows, chunk_size))
    loss.backward()
    assert loss.item() == wanted.item()
    torch.testing.assert_close(encoder.gradients(), gradients, rtol=0, atol=1e-14)
    assert torch.rand(1).equal(drawn)


def test_the_second_run_drops_what_the_first_did():
    (encoder, stream), rows = with_stream(), batch(7)
    masks = []
    encoder.dropout.register_forward_hook(lambda _, __, out: masks.append(out.detach() == 0))
    stream.begin(4)
    loss = contrast(encode_in_chunks(encoder.encode, rows, 3, dropout=stream))
    forward, masks[:] = list(masks), []
    loss.backward()
    assert len(forward) == len(masks) == 6
    again = [mask for start in (4, 2, 0) for mask in masks[start : start + 2]]  # last chunk first
    assert all(one.equal(other) for one, other in zip(forward, again, strict=True))
    assert not forward[0].equal(forward[1])
    assert not forward[0].equal(forward[2])


@pytest.mark.parametrize("chunk_size", [1, 3, 6])
def test_with_dropout_it_equals_the_graph_that_keeps_everything(chunk_size):
    (encoder, stream), rows = with_stream(), batch(7)
    outcomes = []
    for how in (kept_graph, encode_in_chunks):
        stream.begin(4, first_row=2, total_rows=9)
        encoder.encode(rows)  # something drew masks before, and something does after
        if how is kept_graph:
            vectors = how(encoder, rows, chunk_size)
        else:
            vectors = how(encoder.encode, rows, chunk_size, dropout=stream_of(encoder))
        loss = contrast(vectors) + encoder.encode(rows).square().mean()
        calls = dict(stream.calls)
        stream.begin(5)  # a hasty loop
        loss.backward()
        assert (stream.step, stream.first_row, stream.total_rows, stream.calls) == (5, 0, None, {})
        outcomes.append((loss, encoder.gradients(), calls))
    torch.testing.assert_close(*outcomes, rtol=0, atol=1e-14)


def test_forgetting_the_stream_gives_another_gradient():
    """So the two tests above could fail."""
    (encoder, stream), rows = with_stream(), batch(7)
    gradients = []
    for given in (stream, None):
        stream.begin(0)
        contrast(encode_in_chunks(encoder.encode, rows, 3, dropout=given)).backward()
        gradients.append(encoder.gradients())
    assert (gradients[0][0] - gradients[1][0]).abs().max() > 1e-4


def test_checkpoints_inside_of_a_chunk():
    (encoder, stream), rows = with_stream(), batch(7)

    def thrifty(rows):
        context_fn = stream.replayable
        states = torch.stack(list(rows))
        return checkpoint(encoder.encode, states, use_reentrant=False, context_fn=context_fn)

    gradients = []
    for encode in (encoder.encode, thrifty):
        stream.begin(0)
        contrast(encode_in_chunks(encode, rows, 3, dropout=stream)).backward()
        gradients.append(encoder.gradients())
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-14)


def test_a_graph_may_be_walked_twice():
    (encoder, stream), rows = with_stream(), batch(7)
    stream.begin(0)
    loss = contrast(encode_in_chunks(encoder.encode, rows, 3, dropout=stream))
    loss.backward(retain_graph=True)
    once = encoder.gradients()
    loss.backward()
    torch.testing.assert_close(encoder.gradients(), once, rtol=0, atol=0)


def test_weights_used_twice_collect_both_gradients():
    encoder, users, items = Encoder(), batch(7), batch(5, seed=2)

    def loss_of(encode):
        return (encode(users) @ encode(items).T).logsumexp(-1).mean()

    loss_of(encoder.encode).backward()
    wanted = encoder.gradients()
    loss_of(lambda rows: encode_in_chunks(encoder.encode, rows, 2)).backward()
    torch.testing.assert_close(encoder.gradients(), wanted, rtol=0, atol=1e-13)


def test_only_what_needs_a_gradient_is_encoded_twice():
    encoder, rows = Encoder(), batch(7)
    encode_in_chunks(encoder.encode, rows, 3).sum().backward()
    assert encoder.sizes == [3, 3, 1, 1, 3, 3]
    encoder.sizes.clear()
    with torch.no_grad():
        encode_in_chunks(encoder.encode, rows, 3)
    assert encoder.sizes == [3, 3, 1]
    encoder.sizes.clear()
    encode_in_chunks(encoder.encode, rows, 7).sum().backward()
    assert encoder.sizes == [7]


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that were made inside and are still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        outcome = func(*args, **(kwargs or {}))
        given = {part.untyped_storage().data_ptr() for part in tree_leaves(args) if is_tensor(part)}
        for made in filter(is_tensor, tree_leaves(outcome)):
            storage = made.untyped_storage()
            if storage.data_ptr() not in given:
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self.free, storage.nbytes())
        return outcome

    def free(self, n_bytes: int) -> None:
        self.now -= n_bytes


def is_tensor(value) -> bool:
    return isinstance(value, torch.Tensor)


def peak_bytes(n, chunk_size):
    encoder, rows = Encoder(width=256), batch(n)
    with LiveBytes() as counter:
        (encode_in_chunks(encoder.encode, rows, chunk_size) * 2).sum().backward()
    return counter.peak


def test_memory_is_that_of_one_chunk():
    activations = 2 * 256 * 8  # bytes a row keeps at least
    whole = peak_bytes(1024, 1024)
    assert whole > 1024 * activations
    small, large = peak_bytes(256, 16), peak_bytes(1024, 16)
    assert large < whole / 4
    vectors = 768 * D * 8
    assert large - small < 6 * vectors  # grows with the vectors alone


def test_wrong_use_is_told():
    encoder, rows = Encoder(), batch(4)
    with pytest.raises(ConfigError, match=r"chunk_size=0 was given; at least 1 row"):
        encode_in_chunks(encoder.encode, rows, 0)
    with pytest.raises(ValueError, match="encode gave 1 vectors for 2 rows"):
        encode_in_chunks(lambda rows: encoder.encode(rows)[:1], rows, 2)


def test_the_stream_of_a_model():
    encoder, stream = with_stream()
    assert stream_of(encoder) is stream
    assert stream_of(Encoder(Dropout(0.1))) is None
    assert stream_of(Encoder()) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_torchs_own_dropout_on_a_gpu_with_rows_on_the_cpu():
    encoder, rows = Encoder(nn.Dropout(0.4)).cuda(), batch(7)

    def encode(rows):
        return encoder.encode([row.cuda() for row in rows])

    torch.manual_seed(5)
    vectors = torch.cat([encode(rows[:4]), encode(rows[4:])])
    vectors.square().sum().backward()
    wanted = encoder.gradients()
    torch.manual_seed(5)
    encode_in_chunks(encode, rows, 4).square().sum().backward()
    torch.testing.assert_close(encoder.gradients(), wanted, rtol=0, atol=1e-12)
