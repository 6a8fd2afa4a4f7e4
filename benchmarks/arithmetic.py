"""How many multiply-adds a SASRec training step needs, and how long they take at best."""

from dataclasses import dataclass

from benchmarks.machine import gemm_rate

_CACHED_OUTPUT = 1 << 21
"""Elements of a product that stay in a cache; larger ones are timed in slices."""
_FORWARD_AND_BACKWARD = 3
"""Each product has two of the same size in the backward pass."""


@dataclass(frozen=True)
class StepShape:
    """What a step multiplies.

    Attributes:
        rows: Sequences B in the batch.
        length: Padded length T.
        positions: Supervised positions M.
        items: Items P in the softmax.
        dim: Width D.
        hidden: Width of the feed-forward layers.
        n_heads: Attention heads.
        n_layers: Blocks.
    """

    rows: int
    length: int
    positions: int
    items: int
    dim: int
    hidden: int
    n_heads: int
    n_layers: int


@dataclass(frozen=True)
class Product:
    """One kind of matrix product, ``count`` times ``[batch, m, k] @ [batch, k, n]`` a step."""

    m: int
    k: int
    n: int
    batch: int = 1
    count: int = 1

    @property
    def multiply_adds(self) -> int:
        """All of them, in one forward pass."""
        return self.count * self.batch * self.m * self.k * self.n

    def rate(self, seconds: float) -> float:
        """Returns the multiply-adds a second that this machine reaches at this shape."""
        m = self.m if self.batch > 1 else min(self.m, max(64, _CACHED_OUTPUT // self.n))
        return gemm_rate(m, self.k, self.n, self.batch, seconds)


def products(shape: StepShape) -> dict[str, Product]:
    """Returns the products of a forward pass, by name; padded places count, being computed."""
    tokens, head = shape.rows * shape.length, shape.dim // shape.n_heads
    blocks, layers = shape.rows * shape.n_heads, shape.n_layers
    return {
        "query, key, value": Product(tokens, shape.dim, 3 * shape.dim, count=layers),
        "attention scores": Product(shape.length, head, shape.length, blocks, layers),
        "attention mix": Product(shape.length, shape.length, head, blocks, layers),
        "attention output": Product(tokens, shape.dim, shape.dim, count=layers),
        "feed-forward in": Product(tokens, shape.dim, shape.hidden, count=layers),
        "feed-forward out": Product(tokens, shape.hidden, shape.dim, count=layers),
        "catalogue softmax": Product(shape.positions, shape.dim, shape.items),
    }


def multiply_adds(shape: StepShape) -> int:
    """Returns how many multiply-adds a training step does (forward and backward)."""
    return _FORWARD_AND_BACKWARD * sum(one.multiply_adds for one in products(shape).values())


def rates(shape: StepShape, seconds: float) -> dict[str, float]:
    """Returns the measured rate of each product, in multiply-adds a second."""
    return {name: one.rate(seconds) for name, one in products(shape).items()}


def floor_seconds(shape: StepShape, measured: dict[str, float]) -> float:
    """Returns how long a step's products take at the measured rates."""
    kinds = products(shape).items()
    return _FORWARD_AND_BACKWARD * sum(one.multiply_adds / measured[name] for name, one in kinds)
