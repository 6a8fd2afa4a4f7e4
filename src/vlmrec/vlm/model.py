"""One door to every vision-language model: encode, token loss, body, image features."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vlmrec.core.errors import ConfigError, nearest
from vlmrec.core.random import Streams
from vlmrec.core.tensors import require_finite
from vlmrec.vlm.answer_loss import answer_loss
from vlmrec.vlm.batching import buckets, distinct, in_order
from vlmrec.vlm.checkpoints import weights_sha256
from vlmrec.vlm.collating import collate
from vlmrec.vlm.families.base import Family, PromptBatch
from vlmrec.vlm.identity import describe_prompts, visual_identity
from vlmrec.vlm.layout import LayoutReport, PromptLayout, Row, Template
from vlmrec.vlm.learned_tokens import LearnedTokens
from vlmrec.vlm.options import VlmOptions
from vlmrec.vlm.prompts import ImagePart, PictureSource, Prompt
from vlmrec.vlm.readout import read_out, require_pooling
from vlmrec.vlm.seeing import PictureEncoder
from vlmrec.vlm.visual_cache import VisualCache
from vlmrec.vlm.visual_features import VisualFeatures

_PROMPTS_AT_A_TIME = 256  # whose pictures are held in memory together, without gradients


class VisionLanguageModel(nn.Module):
    """A vision-language model behind one small protocol, whatever its family and size.

    Its four abilities are `encode`, `token_loss`, `body` and `image_features`. All of them are
    differentiable where weights learn (see `vlmrec.vlm.tuning`) and gradients are enabled.

    Args:
        family: The architecture with weights, tokenizer and image processor.
        options: How prompts become tokens and batches.
        template: What surrounds every prompt.
        device: Where to compute.
    """

    def __init__(
        self, family: Family, options: VlmOptions, template: Template, device: torch.device
    ) -> None:
        super().__init__()
        self.family = family
        self.options = options
        self.network: nn.Module = family.network
        self.learned = LearnedTokens(family.width, family.word_embeddings.num_embeddings)
        self._pictures = PictureEncoder(family, options.pictures_per_batch)
        self._template = template
        longest = min(options.max_tokens or family.usual_tokens, family.max_positions)
        self.layout = PromptLayout(family, template, longest, self.special_id)
        self.to(device)

    @property
    def device(self) -> torch.device:
        """Where it computes; `to` moves it."""
        return self.family.word_embeddings.weight.device

    @property
    def width(self) -> int:
        """Number of dimensions D of a vector."""
        return self.family.width

    @property
    def report(self) -> LayoutReport:
        """What was cut from prompts so far."""
        return self.layout.report

    @property
    def picture_problems(self) -> dict[str, int]:
        """How many pictures could not be read so far, per kind; see `vlmrec.data.images`."""
        return self._pictures.problems

    @property
    def vision_learns(self) -> bool:
        """Whether the vision tower has weights that learn."""
        return any(
            weight.requires_grad for part in self.family.vision for weight in part.parameters()
        )

    @property
    def words_learn(self) -> bool:
        """Whether the vector of a prompt of words alone can change while training."""
        body = [*self.family.language.parameters(), self.family.word_embeddings.weight]
        return bool(self.learned.names) or any(weight.requires_grad for weight in body)

    def add_special_tokens(self, names: Sequence[str], *, seed: int = 0) -> None:
        """Adds learned tokens such as ``[Cur_Item]``; names that are there already are skipped.

        Args:
            names: Token names; one of the tokenizer's own needs no adding.
            seed: Of the start values.
        """
        self.learned.add(names, self.family.word_embeddings.weight, Streams(seed))

    def encode(
        self,
        prompts: Sequence[Prompt],
        *,
        pooling: str | None = None,
        seen: Mapping[PictureSource, VisualFeatures] | None = None,
    ) -> Tensor:
        """Returns one vector per prompt; the order is kept.

        Prompts of similar length share a forward pass and equal prompts are encoded once
        (options `bucketed`, `deduplicate`); neither changes a vector (to 1e-4). A picture that
        cannot be read is left out, as if it were not in the prompt, and counted.

        Args:
            prompts: n prompts.
            pooling: Overrides the options; see `vlmrec.vlm.readout.read_out`.
            seen: Features of the prompts' pictures where the caller has them already (from
                `image_features`); pictures that are not in it count as unreadable.

        Returns:
            ``[n, D] float32`` on the model's device.

        Raises:
            DataError: A prompt has neither text nor a readable picture.
            ConfigError: The pooling or a special token is unknown.
            FloatingPointError: The model produced NaN or infinity.
        """
        chosen = pooling or self.options.pooling or self.family.default_pooling
        special = self._known_special(chosen)
        require_pooling(chosen, special)
        if not prompts:
            return torch.zeros(0, self.width, device=self.device)
        every = list(range(len(prompts)))
        unique, where = distinct(prompts) if self.options.deduplicate else (list(prompts), every)
        pictures = any(isinstance(part, ImagePart) for prompt in unique for part in prompt)
        whole = torch.is_grad_enabled() or not pictures
        size = len(unique) if whole else _PROMPTS_AT_A_TIME
        parts = [
            self._encode(unique[start : start + size], chosen, special, seen)
            for start in range(0, len(unique), size)
        ]
        vectors = torch.cat(parts)
        require_finite(vectors.detach(), "Vectors of prompts")
        return vectors[torch.tensor(where, device=vectors.device)]

    def token_loss(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> Tensor:
        """Returns the next-token cross-entropy of each answer given its prompt.

        Only the answer's tokens and its end token count, and a prompt's loss is their mean, so
        a long answer weighs as much as a short one.

        Args:
            prompts: n prompts.
            answers: n texts.

        Returns:
            ``[n] float32`` in nats per token.

        Raises:
            ConfigError: The checkpoint has no language head.
            DataError: A prompt has neither text nor a readable picture.
        """
        if len(prompts) != len(answers):
            raise ValueError(f"{len(prompts)} prompts but {len(answers)} answers.")
        if not prompts:
            return torch.zeros(0, device=self.device)
        if not self.family.can_generate:
            raise ConfigError(
                f"This '{self.family.name}' checkpoint has no language head, so it gives no token "
                "loss.",
                "Use it to encode only, or take the generative checkpoint it was made from.",
            )
        rows = self.layout.rows(prompts, self._seen(prompts), answers)
        return self._in_order(rows, self._answer_loss)

    def body(self, inputs_embeds: Tensor, mask: Tensor, *, causal: bool = True) -> Tensor:
        """Returns the states of any sequence of vectors: the body without word embeddings.

        Molar's DUEG and HLLM's user model read item vectors this way. Positions are counted
        over the real places as the family counts words (all axes of M-RoPE alike).

        Args:
            inputs_embeds: ``[B, T, D] float``.
            mask: ``[B, T] bool``, true on real places; padding on either side.
            causal: Whether place t sees only places up to t; `compact` also knows False.

        Returns:
            ``[B, T, D]``; rows of padding are meaningless.

        Raises:
            ConfigError: T exceeds what the body can read, or the family cannot look ahead.
        """
        if inputs_embeds.shape[1] > self.family.max_positions:
            raise ConfigError(
                f"A sequence of {inputs_embeds.shape[1]} vectors was given; this body reads at "
                f"most {self.family.max_positions}.",
                "Shorten the histories (max_len).",
            )
        dtype = self.family.word_embeddings.weight.dtype
        with self.products():
            return self.family.body(inputs_embeds.to(dtype), mask, causal=causal)

    def image_features(self, images: Sequence[PictureSource]) -> list[VisualFeatures | None]:
        """Returns what the vision tower makes of each picture, apart from any prompt.

        Args:
            images: Files or bytes.

        Returns:
            Per picture ``[n_i, W]`` with the shape that its layout follows from, or None where
            it cannot be read. From the cache, values may be float16.
        """
        learns = self.vision_learns
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            seen = self._pictures.features(images, keep=learns)
        return [seen.get(source) for source in images]

    def use_visual_cache(self, cache: VisualCache | None) -> None:
        """Keeps visual features of the frozen tower in `cache`, or no longer.

        Raises:
            ConfigError: The tower learns, so its features change at every step.
        """
        if cache is not None and self.vision_learns:
            raise ConfigError(
                "Visual features were to be cached while the vision tower learns.",
                "Set tuning.vision=false, or do without the cache.",
            )
        self._pictures.cache = cache

    def visual_identity(self) -> str:
        """Returns JSON of everything that visual features depend on, for a cache's name."""
        return visual_identity(self.family)

    def describe(self) -> dict[str, Any]:
        """Returns everything that vectors depend on; all weights, LoRA too, as one hash."""
        return {
            "weights_sha256": weights_sha256(self),
            "learned_tokens": self.learned.names,
            **describe_prompts(self.family, self.options, self._template, self.layout.max_tokens),
        }

    def train(self, mode: bool = True) -> "VisionLanguageModel":
        """Sets training mode; a frozen vision tower stays in evaluation mode.

        Batch normalisation stays there even in one that learns: with the statistics of a batch,
        the vector of a picture would depend on its neighbours.
        """
        super().train(mode)
        learns = self.vision_learns
        for part in self.family.vision:
            for module in part.modules():
                if not learns or isinstance(module, nn.BatchNorm2d):
                    module.training = False
        return self

    def _encode(
        self,
        prompts: Sequence[Prompt],
        pooling: str,
        special: int | None,
        seen: Mapping[PictureSource, VisualFeatures] | None,
    ) -> Tensor:
        rows = self.layout.rows(prompts, self._seen(prompts) if seen is None else seen)

        def vectors(batch: PromptBatch) -> Tensor:
            states = self.states(batch)
            return read_out(states, batch, pooling, special, normalize=self.options.normalize)

        return self._in_order(rows, vectors)

    def _in_order(self, rows: list[Row], compute: Any) -> Tensor:
        """Returns `compute` of buckets of rows, put back into the order of the rows."""
        options, order, parts = self.options, [], []
        lengths = [len(row) for row in rows]
        width = 0 if options.bucketed else max(lengths)
        for batch in buckets(lengths, options.tokens_per_batch, by_length=options.bucketed):
            chosen = [rows[number] for number in batch]
            collated = collate(chosen, self.family.pad, options.padding, self.device, width)
            parts.append(compute(collated))
            order += batch
        return in_order(parts, order)

    def states(self, batch: PromptBatch, embeddings: Tensor | None = None) -> Tensor:
        """Returns the last hidden states ``[B, T, D]`` of collated prompts.

        Args:
            batch: Tokens, masks and pictures.
            embeddings: ``[B, T, D]`` in place of those of the tokens.
        """
        if embeddings is None:
            embeddings = self.learned.embed(batch.ids, self.family.word_embeddings)
        if self.options.dtype == "mixed":  # which does not know float16, as caches store it
            features = [VisualFeatures(one.values.float(), one.shape) for one in batch.features]
            batch = replace(batch, features=features)
        with self.products():
            return self.family.states(embeddings, batch)

    def products(self) -> contextlib.AbstractContextManager[Any]:
        """Returns a context in which the body multiplies as the option `dtype` says."""
        if self.options.dtype != "mixed" or self.device.type == "meta":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def _answer_loss(self, batch: PromptBatch) -> Tensor:
        states = self.states(batch)
        with self.products():  # the head of a large vocabulary costs as much as the body
            return answer_loss(states, batch, self.family.logits)

    def _seen(self, prompts: Sequence[Prompt]) -> dict[PictureSource, VisualFeatures]:
        sources = [
            part.source for prompt in prompts for part in prompt if isinstance(part, ImagePart)
        ]
        found = zip(sources, self.image_features(sources), strict=True)
        return {source: features for source, features in found if features is not None}

    def _known_special(self, name: str) -> int | None:
        learned = self.learned.id_of(name)
        return self.family.token_id(name) if learned is None else learned

    def special_id(self, name: str) -> int:
        """Returns the token id of a special token, one learned here or of the tokenizer's own.

        Raises:
            ConfigError: There is no such token.
        """
        found = self._known_special(name)
        if found is None:
            known = [*self.learned.names, *self.family.special_names()]
            raise ConfigError(f"Unknown special token '{name}'.", nearest(name, known))
        return found
