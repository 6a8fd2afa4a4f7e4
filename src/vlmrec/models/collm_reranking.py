"""CoLLM as re-ranker: a question about each of the collaborative model's best items."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vlmrec.core.protocols import LossSum, Ranker
from vlmrec.models.collm_prompts import ITEM, NO, USER, YES, question
from vlmrec.models.collm_recommender import CoLLMRecommender
from vlmrec.models.stored import scores_of
from vlmrec.vlm.continuations import Continued, last_states, two_words


class AskingRecommender(CoLLMRecommender):
    """Asks about pairs of history and item."""

    def loss_of(
        self, histories: Tensor, users: Tensor, targets: Tensor, negatives: Tensor | None
    ) -> LossSum:
        """Returns the summed loss of single targets; see the base class."""
        if negatives is None:
            raise ValueError("Questions about single items need negatives.")
        asked = torch.cat([targets[:, None], negatives], dim=1)  # [M, 1 + N]
        scores = self.ask(histories, users, asked)
        # The menu's losses take queries and keys: against unit keys a row's scores are its query.
        unit = torch.eye(asked.shape[1], device=scores.device)
        others = torch.arange(1, asked.shape[1], device=scores.device).expand_as(negatives)
        return self.objective(scores, unit, torch.zeros_like(targets), others)

    def ask(self, histories: Tensor, users: Tensor, items: Tensor) -> Tensor:
        """Returns ``[B, K]``, logit(yes) - logit(no) for each item behind each history.

        Args:
            histories: ``[B, T] int64``, right-padded.
            users: ``[B] int64``, 0 for users that are not known.
            items: ``[B, K] int64``.
        """
        vlm, n = self.reader.vlm, items.shape[1]
        words = list(two_words(vlm, YES, NO))
        of_users = self.user_slots(histories, users)

        def read(rows: Sequence[int]) -> Tensor:
            chosen = items[list(rows)]
            slots: dict[str, Tensor] = {}
            if of_users is not None and self.slots is not None:
                slots[USER] = of_users[list(rows)].repeat_interleave(n, dim=0)
                slots[ITEM] = self.slots(self.cf.items(chosen.flatten()))
            prompts = [self.told(histories[row]) for row in rows]
            behind = [
                [question(self.title(item), hybrid=self.spec.hybrid) for item in row]
                for row in chosen.tolist()
            ]
            states = last_states(vlm, Continued(prompts, behind, slots))
            with vlm.products():
                logits = vlm.family.logits(states)[:, words].float()
            return (logits[:, 0] - logits[:, 1]).view(-1, n)

        return self.in_chunks(read, len(histories))

    def ranker(self, item_vectors: Tensor | None = None) -> "ReRanker":
        """Returns a frozen view; there are no item vectors to give."""
        del item_vectors
        self.eval()
        return ReRanker(self, self.cf.model.ranker(), self.spec.n_candidates)


class ReRanker:
    """A query is its scores of all items; satisfies `vlmrec.core.protocols.PersonalRanker`.

    The best of the collaborative model have logit(yes) - logit(no) as their score. All others
    stand below the lowest of these, as the collaborative model ranks them.

    Args:
        model: Whom to ask.
        retriever: Whose best are asked about.
        n_candidates: How many.
    """

    def __init__(self, model: AskingRecommender, retriever: Ranker, n_candidates: int) -> None:
        self._model = model
        self._retriever = retriever
        self._n = min(n_candidates, retriever.n_items)

    @property
    def n_items(self) -> int:
        """Number of items that are ranked."""
        return self._retriever.n_items

    @property
    def max_len(self) -> int:
        """Longest history that is read."""
        return self._model.max_len

    @property
    def device(self) -> torch.device:
        """Where histories are expected."""
        return self._retriever.device

    def encode(self, histories: Tensor) -> Tensor:
        """Returns ``[B, I]``, the scores of all items."""
        return self.encode_users(histories, torch.zeros_like(histories[:, 0]))

    @torch.no_grad()
    def encode_users(self, histories: Tensor, users: Tensor) -> Tensor:
        """Returns the same for users ``[B]``, for a collaborative model that knows users."""
        self._model.eval()
        scores = scores_of(self._retriever, histories, users)  # [B, I]
        best = scores.topk(self._n, dim=1).indices  # [B, K]
        asked = self._model.ask(histories, users, best + 1).to(scores.device)  # [B, K]
        below = scores - scores.amax(dim=1, keepdim=True) - 1 + asked.amin(dim=1, keepdim=True)
        return below.scatter(1, best, asked)

    @torch.no_grad()
    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start] float32``."""
        return queries[:, start - 1 : stop - 1].float()
