"""Llama-3.2-Vision: pictures reach the words by cross-attention, one token marks each."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from vlmrec.vlm.families.base import Family, PictureTokens, Pixels, PromptBatch

_TENSORS = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")


class Mllama(Family):
    """Words see the pictures that precede them, up to the next one.

    A prompt has one opening token, in front (the published form; the processor on its own would
    write a second one behind the first picture). Tiles are not a budget here: the tower knows
    an arrangement of tiles by a number that counts arrangements of the full number of tiles.
    """

    name = "mllama"
    image_token = "<|image|>"  # noqa: S105

    @property
    def image_token_id(self) -> int:
        """The id that config.json gives to the picture token."""
        return int(self.config.image_token_index)

    @property
    def vision(self) -> Sequence[nn.Module]:
        """The vision tower and its projector."""
        return [self.network.model.vision_model, self.network.model.multi_modal_projector]

    def prepare(self, image: Image.Image) -> Pixels:
        """Returns tiles ``[1, 1, n, 3, H, W]``, the shape is how many of them are not empty."""
        made = self.process(image)
        return Pixels((int(made["num_tiles"][0][0]),), {name: made[name] for name in _TENSORS})

    def picture_tokens(self, shape: tuple[int, ...]) -> PictureTokens:
        """Returns the one token that marks the picture."""
        del shape
        return PictureTokens((self.image_token_id,), (True,))

    def feature_rows(self, shape: tuple[int, ...]) -> int:
        """Returns the patches of all tiles, empty ones included."""
        del shape
        return self._tiles * self._patches

    def see(self, pictures: Sequence[Pixels]) -> list[Tensor]:
        """Returns the projected patches ``[tiles * P, D]`` of each picture."""
        weight = self.word_embeddings.weight
        tiles, ids, masks = (
            torch.cat([one.tensors[name] for one in pictures]).to(weight.device)
            for name in _TENSORS
        )
        model = self.network.model
        seen = model.vision_model(
            pixel_values=tiles.to(weight.dtype), aspect_ratio_ids=ids, aspect_ratio_mask=masks
        )
        projected = model.multi_modal_projector(seen.last_hidden_state)  # [n, 1, tiles, P, D]
        return list(projected.flatten(1, 3))

    def states(self, embeddings: Tensor, batch: PromptBatch) -> Tensor:
        """Returns the last hidden states ``[B, T, D]``.

        A word before the first picture of its prompt looks at all pictures of its row alike,
        empty places of a batch included: transformers masks the feed-forward part of such words,
        but not their attention. Rows with as many pictures therefore go together, or a prompt
        would depend on its neighbours.
        """
        states = torch.empty_like(embeddings)
        owner = [row for row, count in enumerate(batch.pictures) for _ in range(count)]
        for count in sorted(set(batch.pictures)):
            rows = [row for row, has in enumerate(batch.pictures) if has == count]
            places = [place for place, row in enumerate(owner) if batch.pictures[row] == count]
            part = PromptBatch(
                ids=batch.ids[rows],
                mask=batch.mask[rows],
                filled=batch.filled[rows],
                prefix=batch.prefix[rows],
                textual=batch.textual[rows],
                features=[batch.features[place] for place in places],
                pictures=[count] * len(rows),
            )
            found = self._states(embeddings[rows], part, count)
            states = states.index_copy(0, torch.tensor(rows, device=states.device), found)
        return states

    def _states(self, embeddings: Tensor, batch: PromptBatch, count: int) -> Tensor:
        if count == 0:
            return self.run(embeddings, batch.mask, self.positions(batch))
        features = torch.cat([one.values for one in batch.features])
        features = features.to(embeddings.device, embeddings.dtype)
        return self.network.model(
            inputs_embeds=embeddings,
            attention_mask=batch.mask.long(),
            position_ids=self.positions(batch),
            cross_attention_states=features.view(-1, self._patches, self.width),
            cross_attention_mask=self._seen_by(batch, count).to(embeddings.device),
            use_cache=False,
        ).last_hidden_state

    def _seen_by(self, batch: PromptBatch, count: int) -> Tensor:
        """Returns ``[B, T, count, tiles] int64``: which tiles each word looks at."""
        from transformers.models.mllama.processing_mllama import (
            convert_sparse_cross_attention_mask_to_dense,
            get_cross_attention_token_mask,
        )

        tiles = [one.shape[0] for one in batch.features]
        spans = [
            get_cross_attention_token_mask(ids, self.image_token_id) for ids in batch.ids.tolist()
        ]
        per_row = [tiles[start : start + count] for start in range(0, len(tiles), count)]
        dense = convert_sparse_cross_attention_mask_to_dense(
            spans, per_row, self._tiles, batch.ids.shape[1]
        )
        return torch.from_numpy(dense)

    @property
    def _tiles(self) -> int:
        return int(self.config.vision_config.max_num_tiles)

    @property
    def _patches(self) -> int:
        return int(self.network.model.vision_model.num_patches)
