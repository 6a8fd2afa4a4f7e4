"""Options of models that read frozen vectors of words and pictures."""

from typing import Self

from pydantic import model_validator

from vlmrec.models.spec import ModelSpec


class FrozenContent(ModelSpec):
    """Base of specifications whose items are known by frozen text and picture vectors."""

    text: str | None = "compact"
    """Text encoder: "compact", a local folder, a hub id, a vector file, or null for none."""
    image: str | None = "compact"
    """Picture encoder: the same choices."""

    @model_validator(mode="after")
    def _need_content(self) -> Self:
        if self.text is None and self.image is None:
            raise ValueError("text and image are both off; at least one is needed")
        return self

    def content(self) -> dict[str, str]:
        """Returns which frozen vectors are needed: modality -> encoder or vector file."""
        chosen = {"text": self.text, "image": self.image}
        return {name: encoder for name, encoder in chosen.items() if encoder is not None}

    def alone(self, modality: str) -> Self | None:
        """Returns the same model reading one modality only; None if it does not read it."""
        if modality not in self.content():
            return None
        return self.model_copy(update={name: None for name in self.content() if name != modality})
