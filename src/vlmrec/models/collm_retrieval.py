"""CoLLM as retriever: what the language model makes of a history ranks the whole catalogue."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.protocols import LossSum
from vlmrec.models.collm_prompts import USER
from vlmrec.models.collm_recommender import CoLLMRecommender
from vlmrec.models.sequence_ranker import TableRanker
from vlmrec.scoring import Scorer
from vlmrec.vlm.continuations import Continued, last_states


class ReadingRecommender(CoLLMRecommender):
    """Scores a linear map of collaborative item vectors by the state behind a history."""

    def add_own(self, cf_width: int, width: int) -> None:
        """Adds the map of item vectors, and the scorer."""
        self.key_map = nn.Linear(cf_width, width)
        self.scorer = Scorer(self.spec.scoring)

    def loss_of(
        self, histories: Tensor, users: Tensor, targets: Tensor, negatives: Tensor | None
    ) -> LossSum:
        """Returns the summed loss of single targets; see the base class."""
        queries = self.scorer.queries(self.states(histories, users))
        if negatives is None:
            goal = torch.searchsorted(self.pool, targets)  # training items come in order
            return self.objective(queries, self._keys(self.pool), goal, None)
        wanted = torch.cat([targets, negatives.flatten()])
        ids, place = wanted.unique(return_inverse=True)
        goal, wrong = place.split([len(targets), negatives.numel()])
        return self.objective(queries, self._keys(ids), goal, wrong.view_as(negatives))

    def _keys(self, ids: Tensor) -> Tensor:
        return self.scorer.keys(self.key_map(self.cf.items(ids)))

    def states(self, histories: Tensor, users: Tensor) -> Tensor:
        """Returns ``[B, D]``, what the language model makes of histories ``[B, T]``."""
        of_users = self.user_slots(histories, users)

        def read(rows: Sequence[int]) -> Tensor:
            slots = {} if of_users is None else {USER: of_users[list(rows)]}
            prompts = [self.told(histories[row]) for row in rows]
            return last_states(self.reader.vlm, Continued(prompts, [((),)] * len(prompts), slots))

        return self.in_chunks(read, len(histories))

    @torch.no_grad()
    def item_table(self) -> Tensor:
        """Returns ``[I + 1, D]``, what is ranked; row 0 is zero."""
        ids = torch.arange(self.reader.n_items + 1, device=self.pool.device)
        table = self.key_map(self.cf.items(ids)).detach().clone()
        table[PADDING_ID] = 0.0
        return table

    def ranker(self, item_vectors: Tensor | None = None) -> "StateRanker":
        """Returns a frozen view; see the base class."""
        self.eval()
        return StateRanker(self, self.item_table() if item_vectors is None else item_vectors)


class StateRanker(TableRanker):
    """Ranks item vectors by a state; satisfies `vlmrec.core.protocols.PersonalRanker` as well."""

    _model: ReadingRecommender

    @torch.no_grad()
    def encode_users(self, histories: Tensor, users: Tensor) -> Tensor:
        """Returns ``[B, D]`` queries for users ``[B]`` of a collaborative model that knows them."""
        return self._encode(histories, users)

    def _encode(self, histories: Tensor, users: Tensor | None) -> Tensor:
        model = self._model.eval()
        users = torch.zeros_like(histories[:, 0]) if users is None else users
        return model.scorer.queries(model.states(histories, users))
