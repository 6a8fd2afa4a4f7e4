"""What every objective must do; a new loss passes by subclassing this suite in its tests."""

from abc import abstractmethod
from typing import ClassVar, Protocol

import pytest
import torch
from torch import Tensor

from vlmrec.core.protocols import LossSum

_SIZES = ((1, 2, 3), (7, 5, 4), (33, 19, 8), (130, 67, 3))
"""(M positions, P items, D dimensions): single rows, and multiples of nothing."""


class Objective(Protocol):
    """A loss on queries and keys in scoring space."""

    @property
    def n_negatives(self) -> int:
        """Negatives N that it needs, or 0."""
        ...

    @property
    def shared_negatives(self) -> bool:
        """Whether one set of negatives serves the batch."""
        ...

    def __call__(
        self, queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor | None
    ) -> LossSum:
        """Returns the summed loss."""
        ...


class ObjectiveContract:
    """The promises of a loss: right in value and gradient, summable, finite."""

    largest_score: ClassVar[float] = 1e4
    """Scores up to this size must give a finite loss and gradient in float32."""

    @abstractmethod
    def make_objective(self) -> Objective:
        """Returns the objective to test."""

    @abstractmethod
    def oracle(
        self, queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor | None
    ) -> Tensor:
        """Returns the summed loss in the plainest possible way, differentiable."""

    def test_value_and_gradient_are_those_of_the_plain_form(self) -> None:
        """Uneven sizes, float64: equal to rounding, in value and in both gradients."""
        for number, size in enumerate(_SIZES):
            case = self.draw(*size, seed=number)
            fast = self.gradients(self.make_objective(), *case)
            slow = self.gradients(self._plain, *case)
            for one, other in zip(fast, slow, strict=True):
                torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)

    def test_gradcheck(self) -> None:
        """The gradient is that of the value, by finite differences."""
        queries, keys, targets, negatives = self.draw(5, 6, 3, seed=11)
        objective = self.make_objective()

        def total(q: Tensor, k: Tensor) -> Tensor:
            return objective(q, k, targets, negatives).total

        inputs = (queries.requires_grad_(), keys.requires_grad_())
        assert torch.autograd.gradcheck(total, inputs)

    def test_only_what_is_asked_for_gets_a_gradient(self) -> None:
        """Frozen keys or frozen queries train the other side all the same."""
        queries, keys, targets, negatives = self.draw(7, 5, 4, seed=12)
        _, query_grad, key_grad = self.gradients(
            self.make_objective(), queries, keys, targets, negatives
        )
        for frozen, expected in ((keys, query_grad), (queries, key_grad)):
            free = (queries if frozen is keys else keys).clone().requires_grad_()
            pair = (free, frozen.detach()) if frozen is keys else (frozen.detach(), free)
            (3 * self.make_objective()(*pair, targets, negatives).total).backward()
            torch.testing.assert_close(free.grad, expected)

    def test_extreme_scores_stay_finite(self) -> None:
        """Scores of +-1e4 in float32 give neither NaN nor infinity."""
        queries, keys, targets, negatives = self.draw(9, 6, 2, seed=13)
        scale = (self.largest_score / 2) ** 0.5  # two dimensions: scores of 0 and +-1e4
        queries, keys = queries.sign().float() * scale, keys.sign().float() * scale
        for one in self.gradients(self.make_objective(), queries, keys, targets, negatives):
            assert torch.isfinite(one).all()
        total = self.make_objective()(queries, keys, targets, negatives).total
        plain = self.oracle(queries.double(), keys.double(), targets, negatives)
        torch.testing.assert_close(total.double(), plain, atol=1e-2, rtol=1e-5)

    def test_shards_of_a_batch_add_up(self) -> None:
        """Sums and counts of parts are the sum and count of the whole; no rows count nothing."""
        queries, keys, targets, negatives = self.draw(10, 6, 3, seed=14)
        whole = self.make_objective()(queries, keys, targets, negatives)
        parts = [
            self.make_objective()(
                queries[part], keys, targets[part], self.negatives_of(negatives, part)
            )
            for part in (slice(0, 0), slice(0, 1), slice(1, 7), slice(7, 10))
        ]
        assert [part.count for part in parts] == [0, 1, 6, 3]
        assert whole.count == 10
        total = torch.stack([part.total for part in parts]).sum()
        torch.testing.assert_close(total, whole.total)
        assert parts[0].total.item() == 0

    def test_no_rows_give_zero_gradients(self) -> None:
        """A process without rows takes part in the step and adds nothing."""
        queries, keys, targets, negatives = self.draw(4, 6, 3, seed=15)
        none = slice(0, 0)
        _, query_grad, key_grad = self.gradients(
            self.make_objective(),
            queries[none],
            keys,
            targets[none],
            self.negatives_of(negatives, none),
        )
        assert query_grad.shape == (0, 3)
        assert not key_grad.any()

    def test_order_of_rows_and_items_changes_nothing(self) -> None:
        """Permuted rows give the same sum, and so do renumbered items."""
        queries, keys, targets, negatives = self.draw(12, 9, 4, seed=16)
        total = self.make_objective()(queries, keys, targets, negatives).total
        rows = torch.randperm(12, generator=torch.Generator().manual_seed(1))
        mixed = self.make_objective()(
            queries[rows], keys, targets[rows], self.negatives_of(negatives, rows)
        )
        torch.testing.assert_close(mixed.total, total)
        deal = torch.randperm(9, generator=torch.Generator().manual_seed(2))
        place = deal.argsort()
        renamed = None if negatives is None else place[negatives]
        dealt = self.make_objective()(queries, keys[deal], place[targets], renamed)
        torch.testing.assert_close(dealt.total, total)

    def test_negatives_that_are_needed_are_asked_for(self) -> None:
        """A missing draw is a defect of the caller, not a loss of zero."""
        queries, keys, targets, _ = self.draw(3, 4, 2, seed=17)
        if self.make_objective().n_negatives:
            with pytest.raises(ValueError, match="needs negatives"):
                self.make_objective()(queries, keys, targets, None)

    def draw(
        self, m: int, p: int, d: int, seed: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Returns float64 queries, keys, targets and negatives of the sizes given."""
        generator = torch.Generator().manual_seed(seed)
        queries = torch.randn(m, d, generator=generator, dtype=torch.float64)
        keys = torch.randn(p, d, generator=generator, dtype=torch.float64)
        targets = torch.randint(p, (m,), generator=generator)
        objective = self.make_objective()
        n = objective.n_negatives
        if not n:
            return queries, keys, targets, None
        shape = (n,) if objective.shared_negatives else (m, n)
        return queries, keys, targets, torch.randint(p, shape, generator=generator)

    def negatives_of(self, negatives: Tensor | None, rows: slice | Tensor) -> Tensor | None:
        """Returns the negatives that go with some of the rows."""
        return negatives if negatives is None or negatives.dim() == 1 else negatives[rows]

    def gradients(
        self,
        objective: Objective,
        queries: Tensor,
        keys: Tensor,
        targets: Tensor,
        negatives: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the loss and its gradients by queries and keys (of three times the loss)."""
        queries, keys = queries.clone().requires_grad_(), keys.clone().requires_grad_()
        total = objective(queries, keys, targets, negatives).total
        query_grad, key_grad = torch.autograd.grad(3 * total, (queries, keys))
        return total.detach(), query_grad, key_grad

    @property
    def _plain(self) -> Objective:
        return _Plain(self)


class _Plain:
    n_negatives = 0
    shared_negatives = False

    def __init__(self, contract: ObjectiveContract) -> None:
        self._contract = contract

    def __call__(
        self, queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor | None
    ) -> LossSum:
        return LossSum(self._contract.oracle(queries, keys, targets, negatives), len(targets))
