"""What both ways of ranking with CoLLM share: language model, collaborative model and map."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from vlmrec.core.columns import PADDING_ID, TITLE
from vlmrec.core.dropout import stream_of
from vlmrec.core.errors import ConfigError
from vlmrec.core.protocols import BatchSource, LossSum, TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.negatives import UniformNegatives
from vlmrec.data.prefix_batches import PrefixBatches
from vlmrec.models.candidate_batches import CandidateBatches
from vlmrec.models.catalog_files import read_reader
from vlmrec.models.catalog_model import CatalogModel
from vlmrec.models.collaborative_map import CollaborativeMap
from vlmrec.models.collm_prompts import ASK, ITEM, USER, history_prompt
from vlmrec.models.id_teacher import IdTeacher
from vlmrec.models.spec import TrainingData
from vlmrec.models.stored import (
    StoredModel,
    copy_run,
    load_model,
    load_stage,
    require_same_split,
    scores_of,
)
from vlmrec.vlm.gradient_cache import encode_in_chunks
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.prompts import Prompt

if TYPE_CHECKING:
    from vlmrec.models.collm import CoLLM

_CF = "cf"


class CoLLMRecommender(CatalogModel):
    """Base of both ways; satisfies `vlmrec.core.protocols.Trainable`.

    Args:
        spec: Hyper-parameters.
    """

    pool: Tensor

    def __init__(self, spec: "CoLLM") -> None:
        super().__init__("text", spec.history, None, None)
        self.spec = spec
        self.objective = spec.loss()
        self.slots: CollaborativeMap | None = None
        self._cf: IdTeacher | None = None
        self._first: StoredModel | None = None
        self.register_buffer("pool", torch.zeros(0, dtype=torch.int64), persistent=False)

    @property
    def cf(self) -> IdTeacher:
        """The collaborative model."""
        if self._cf is None:
            raise ValueError("The model has no collaborative model yet: call initialise first.")
        return self._cf

    def initialise(self, streams: Streams, device: torch.device) -> None:
        """Loads the collaborative model and the language model; draws what is new."""
        spec = self.spec
        seed = streams.child_seed("backbone")
        if spec.step_one is None:
            vlm = load_vlm(spec.backbone, spec.vlm, spec.tuning, device=device, seed=seed)
            vlm.add_special_tokens([ASK, USER, ITEM], seed=seed)
        else:
            self._first = load_stage("step_one", spec.step_one, ("collm",))
            vlm = self._taught(self._first)
        self._take_parts(vlm, IdTeacher.load("cf", spec.cf, joint=spec.cf_learns))
        generator = streams.torch("mapping")
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and name.partition(".")[0] in ("slots", "key_map"):
                _draw(module, generator)
        self.to(device)
        self.cf.to(device)

    def _taught(self, first: StoredModel) -> VisionLanguageModel:
        """Returns the language model of the first step, which learns no more."""
        folder, model = self.spec.step_one, first.model
        if not isinstance(model, CoLLMRecommender) or model.vlm is None or model.spec.hybrid:
            raise ConfigError(
                f"Option 'step_one' names '{folder}', which is a second step itself.",
                "Name a run of collm without step_one.",
            )
        if model.spec.mode != self.spec.mode:
            raise ConfigError(
                f"Option 'step_one' names '{folder}', trained with mode={model.spec.mode}; this "
                f"one has mode={self.spec.mode}.",
                f"Set mode={model.spec.mode}, or train a first step with mode={self.spec.mode}.",
            )
        return model.vlm.requires_grad_(False)

    def _take_parts(self, vlm: VisionLanguageModel, cf: IdTeacher) -> None:
        spec = self.spec
        self.vlm, self._cf = vlm, cf
        cf.model.requires_grad_(cf.joint)
        if cf.joint:
            self.cf_model = cf.model  # among the weights that learn
        self.max_len = max(spec.history, cf.model.max_len)
        if spec.hybrid:
            self.slots = CollaborativeMap(cf.width, spec.widening * cf.width, vlm.width)
        self.add_own(cf.width, vlm.width)

    def add_own(self, cf_width: int, width: int) -> None:
        """Adds weights that one way has and the other has not.

        Args:
            cf_width: Of the collaborative model's vectors.
            width: Of the language model's states.
        """
        del cf_width, width

    def prepare(self, training: TrainingData) -> None:
        """Takes in titles; refuses earlier stages that were trained on other rows."""
        spec = self.spec
        require_same_split("cf", spec.cf, self.cf.stored, training.fingerprint)
        if spec.step_one is not None and self._first is not None:
            require_same_split("step_one", spec.step_one, self._first, training.fingerprint)
        fields = spec.text_fields
        if fields is None and training.catalog is not None:
            fields = (TITLE,) if TITLE in training.catalog.table.columns else None
        self.read_catalog(training, spec.reading(), fields)
        self.pool = torch.as_tensor(training.training_items).to(self.pool.device)
        self.objective = self.objective.over(len(self.pool))
        if self.slots is not None:
            words = self.reader.vlm.family.word_embeddings.weight.detach()
            self.slots.fit(self.cf.items(self.pool).detach(), float(words.float().std()))

    def batches(
        self, training: TrainingData, streams: Streams, *, batch_size: int, epochs: int
    ) -> BatchSource:
        """Returns random targets with the events before them, and negatives."""
        spec, n = self.spec, self.objective.n_negatives
        hard = n > 0 and spec.negatives_from == "candidates"
        drawn = None
        if n and not hard:
            drawn = UniformNegatives.over(training.training_items, training.histories)
        prefixes = PrefixBatches(
            training.histories,
            self.max_len,
            batch_size,
            epochs,
            streams,
            spec.targets_per_user,
            drawn,
            n,
            self.objective.shared_negatives,
        )
        if not hard:
            return prefixes
        retriever = self.cf.model.ranker()

        def scores(histories: Tensor, users: Tensor) -> Tensor:
            return scores_of(retriever, histories, users).cpu()

        pool, most = training.training_items, spec.n_candidates
        return CandidateBatches(prefixes, scores, pool, most, n, streams)

    def forward(self, batch: TrainingBatch) -> tuple[Tensor, int]:
        """Returns the summed loss and its count."""
        loss = self.training_loss(batch)
        return loss.total, loss.count

    def training_loss(self, batch: TrainingBatch) -> LossSum:
        """Returns the loss summed over all places that have a target."""
        rows, steps = (batch.targets != PADDING_ID).nonzero(as_tuple=True)  # [M]
        later = torch.arange(batch.items.shape[1], device=rows.device) > steps[:, None]
        histories = batch.items[rows].masked_fill(later, PADDING_ID)  # [M, T]
        negatives = batch.negatives
        if self.objective.n_negatives == 0:
            negatives = None
        elif negatives is None:
            raise ValueError("The objective needs negatives; the batch has none.")
        elif negatives.dim() == 1:
            negatives = negatives.expand(len(rows), -1)
        else:
            negatives = negatives[rows, steps]  # [M, N]
        return self.loss_of(histories, batch.users[rows], batch.targets[rows, steps], negatives)

    @abstractmethod
    def loss_of(
        self, histories: Tensor, users: Tensor, targets: Tensor, negatives: Tensor | None
    ) -> LossSum:
        """Returns the summed loss of single targets.

        Args:
            histories: ``[M, T] int64``, right-padded.
            users: ``[M] int64``.
            targets: ``[M] int64``.
            negatives: ``[M, N] int64``, or None for an objective without.
        """

    def user_slots(self, histories: Tensor, users: Tensor) -> Tensor | None:
        """Returns what stands for users in the prompt, ``[B, D]``; None in the first step."""
        if self.slots is None:
            return None
        return self.slots(self.cf.users(TrainingBatch(histories, histories, users)))

    def told(self, history: Tensor) -> Prompt:
        """Returns what is told of a history ``[T]``, its latest items."""
        ids = [item for item in history.tolist() if item != PADDING_ID][-self.spec.history :]
        return history_prompt([self.title(item) for item in ids], hybrid=self.spec.hybrid)

    def title(self, item: int) -> str:
        """Returns an item's words."""
        return " ".join(self.reader.texts[item].split()[: self.spec.max_words])

    def in_chunks(self, read: Callable[[Sequence[int]], Tensor], n: int) -> Tensor:
        """Returns what `read` makes of the rows 0..n-1, at the memory of one chunk."""
        if not torch.is_grad_enabled():
            starts = range(0, n, self.spec.chunk)
            parts = [read(range(start, min(start + self.spec.chunk, n))) for start in starts]
            return torch.cat(parts)
        rows = list(range(n))
        return encode_in_chunks(read, rows, self.spec.chunk, dropout=stream_of(self))

    def own_weights(self) -> dict[str, Tensor]:
        """Returns the mappings, and the collaborative model where it learned on."""
        weights = self.state_dict().items()
        return {name: weight for name, weight in weights if not name.startswith("vlm.")}

    def take_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Takes in what `own_weights` gave."""
        missing, unexpected = self.load_state_dict(weights, strict=False)
        wrong = [*unexpected, *(name for name in missing if not name.startswith("vlm."))]
        if wrong:
            raise RuntimeError(f"weights that do not fit, the first is '{wrong[0]}'")

    def write_parts(self, folder: Path) -> list[str]:
        """Writes the language model, the titles, and a copy of the collaborative model's run."""
        return [*super().write_parts(folder), *copy_run(self.spec.cf, folder, _CF)]

    @classmethod
    def from_folder(cls, spec: "CoLLM", folder: Path, n_items: int) -> Self:
        """Returns the model that `write_parts` wrote.

        Raises:
            ArtifactError: A file is missing or damaged.
        """
        model = cls(spec)
        model._reader = read_reader(folder, spec.reading(), spec.vlm, n_items, vision_learned=False)
        cf = IdTeacher(load_model(folder / _CF), joint=spec.cf_learns)
        model._take_parts(model.reader.vlm, cf)
        return model


def _draw(linear: nn.Linear, generator: torch.Generator) -> None:
    """Draws a layer whose outputs have about the spread of its inputs."""
    with torch.no_grad():
        linear.weight.normal_(0.0, linear.in_features**-0.5, generator=generator)
        linear.bias.zero_()
