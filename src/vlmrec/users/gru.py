"""Causal GRU over item vectors (GRU4Rec's user side)."""

from torch import Tensor, nn

from vlmrec.core.dropout import Dropout


class CausalGRU(nn.Module):
    """Gated recurrent layers that read a history from its oldest item to its latest.

    Sequences are padded on the right, so what stands in the padding is read after every state
    that counts.

    Item vectors pass a layer norm first. They are drawn small, and what a recurrent layer makes
    of small inputs is all alike: training would stay with popularity for many epochs.

    Args:
        dim: Width D of item vectors and of the states that are given back.
        hidden: Width of the recurrent states; where it is not `dim`, a linear layer leads back.
        n_layers: Number of recurrent layers.
        dropout: On the output of each layer.
        embedding_dropout: On the item vectors.
    """

    def __init__(
        self,
        *,
        dim: int,
        hidden: int,
        n_layers: int,
        dropout: float,
        embedding_dropout: float,
    ) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(dim)
        self.input_dropout = Dropout(embedding_dropout)
        # One layer each: torch's dropout between layers draws from a global generator.
        self.layers = nn.ModuleList(
            nn.GRU(hidden if layer else dim, hidden, batch_first=True) for layer in range(n_layers)
        )
        self.dropouts = nn.ModuleList(Dropout(dropout) for _ in range(n_layers))
        self.project = nn.Identity() if hidden == dim else nn.Linear(hidden, dim)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Returns the state after each item.

        Args:
            vectors: ``[B, T, D]`` item vectors, padded on the right.
            mask: ``[B, T] bool`` true where there is an item; states elsewhere are arbitrary.

        Returns:
            ``[B, T, D]``; the state at t depends on positions 0..t only.
        """
        del mask  # right padding lies in every real position's future
        states = self.input_dropout(self.input_norm(vectors))
        for layer, dropout in zip(self.layers, self.dropouts, strict=True):
            states = dropout(layer(states)[0])
        return self.project(states)
