"""What surrounds a prompt: the tokenizer's opening and closing tokens, or a chat template."""

from typing import Any

from vlmrec.core.errors import ConfigError
from vlmrec.vlm.layout import Template

_MARK = "\u241f"  # stands for the prompt while the chat template is rendered


def plain_template(tokenizer: Any) -> Template:
    """Returns what the tokenizer puts around a text: BOS, or CLS and SEP, or nothing."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a", add_special_tokens=True)["input_ids"]
    start = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
    return Template(tuple(whole[:start]), tuple(whole[start + len(bare) :]))


def chat_template(tokenizer: Any, instruction: str | None) -> Template:
    """Returns the turns of a checkpoint's chat template around a user's message.

    Args:
        tokenizer: A transformers tokenizer.
        instruction: System message; None leaves the template's own.

    Raises:
        ConfigError: The checkpoint has no chat template, or it hides the message.
    """
    if not tokenizer.chat_template:
        raise ConfigError(
            "chat=true was asked for, and this checkpoint has no chat template.",
            "Set chat=false, or add chat_template.jinja to its folder.",
        )
    messages = [{"role": "user", "content": [{"type": "text", "text": _MARK}]}]
    if instruction:
        system = {"role": "system", "content": [{"type": "text", "text": instruction}]}
        messages.insert(0, system)
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    before, mark, after = text.partition(_MARK)
    if not mark:
        raise ConfigError("The checkpoint's chat template does not contain the message.", "")
    ids = [tokenizer(side, add_special_tokens=False)["input_ids"] for side in (before, after)]
    return Template(tuple(ids[0]), tuple(ids[1]))
