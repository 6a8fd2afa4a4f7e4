"""FPMC: factorizing personalized Markov chains (Rendle et al., WWW 2010).

    score(u, l, i) = <V^UI_u, V^IU_i> + <V^LI_l, V^IL_i>                      (Equation 11)

where l is the latest item of user u. All items' factors lie in one row, so that the score is
one inner product and everything that works with item vectors works here.

Differs from the paper: a basket is one item, and every event of a training window makes one
example, where the paper draws (user, time) with replacement; the optimiser is that of the
training loop, and its decoupled weight decay stands for the paper's regularisation; users'
factors start at zero instead of at random, so that a user without training rows has none.
"""

from typing import ClassVar

from pydantic import Field

from vlmrec.data.negatives import Exclusion
from vlmrec.items.id_table import IdTable
from vlmrec.models.sequence import SequenceRecommender
from vlmrec.models.spec import CatalogShape, ModelSpec
from vlmrec.objectives import AnyObjective, BayesianPersonalizedRanking
from vlmrec.scoring import Scorer, ScoringConfig
from vlmrec.users.fpmc import FactorChain


class FPMC(ModelSpec):
    """Matrix factorization of user and item plus a factorized Markov chain of items."""

    name: ClassVar[str] = "fpmc"
    summary: ClassVar[str] = "factors of user and item plus those of an item and the next"

    dim: int = Field(default=64, ge=1)
    """Factors of each of the two interactions; an item's row holds three times as many."""
    max_len: int = Field(default=50, ge=1)
    """How many events of a user an epoch learns from; ranking reads the latest item alone."""
    objective: AnyObjective = BayesianPersonalizedRanking()
    """The loss; S-BPR as in the paper."""
    exclude: Exclusion = "nothing"
    """What is no negative besides the target: nothing, as in the paper, or what the user's
    training history holds."""

    def build(self, shape: CatalogShape) -> SequenceRecommender:
        """Returns the model with weights not yet drawn."""
        return SequenceRecommender(
            items=IdTable(shape.n_items, 3 * self.dim),
            users=FactorChain(n_factors=self.dim, n_users=shape.n_users),
            scorer=Scorer(ScoringConfig()),
            objective=self.objective,
            n_items=shape.n_items,
            max_len=self.max_len,
            exclude=self.exclude,
        )

    def describe_loss(self) -> str:
        """Returns the loss and its negatives."""
        n = self.objective.n_negatives
        return f"{self.objective.kind}, {n} negatives" if n else f"{self.objective.kind}, full"
