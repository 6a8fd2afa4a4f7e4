"""Byte-level tokenizers with the families' real special tokens, trained on our own sentences."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

SENTENCES = (
    "A red cup with a blue handle stands on the table.",
    "The cowboy doll and the spaceman become friends after all.",
    "Two small toys, one new and one old, are lost in the big city.",
    "Buy three of these lamps: they are bright, cheap and quiet.",
    "The item in the picture is a green bag made of soft leather.",
    "Which film would this viewer like to watch next?",
    "Genre: animation, comedy, family. Year: 1995. Price: 12.50",
    "She bought the shoes last summer and wore them every day.",
    "Describe the product shown in the image in one short sentence.",
    "Title: the long road home. Brand: north river. Colour: black",
    "He reads about stars, ships and storms before he goes to sleep.",
    "The user has bought the following items, the oldest first.",
)

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_SPLIT = QWEN_SPLIT.replace(r"|\p{N}", r"|\p{N}{1,3}", 1)

WORDS = 400  # 256 bytes and the merges, before the special tokens


def write_tokenizer(
    folder: Path,
    *,
    specials: Sequence[str],
    settings: Mapping[str, object],
    split: str | None = None,
    bos: str | None = None,
    nfc: bool = False,
) -> dict[str, int]:
    """Writes `tokenizer.json` and `tokenizer_config.json` as the hub has them.

    Args:
        folder: An existing folder.
        specials: Special tokens, in the order of their ids, which follow the words'.
        settings: The rest of `tokenizer_config.json`: class, roles of the special tokens, ...
        split: Regular expression that cuts text into words; None = the one of GPT-2.
        bos: Token that the tokenizer itself puts in front of every text.
        nfc: Whether text is brought into Unicode's composed form first.

    Returns:
        The id of every special token, and the number of all tokens under `""`.
    """
    from tokenizers import processors

    tokenizer = _train(split, nfc)
    tokenizer.add_special_tokens(list(specials))
    ids = {token: tokenizer.token_to_id(token) for token in specials}
    byte_level = processors.ByteLevel(trim_offsets=False)
    if bos is None:
        tokenizer.post_processor = byte_level
    else:
        start = processors.TemplateProcessing(
            single=[bos, "$A"], pair=[bos, "$A", "$B"], special_tokens=[(bos, ids[bos])]
        )
        tokenizer.post_processor = processors.Sequence([byte_level, start])
    tokenizer.save(str(folder / "tokenizer.json"))
    common = {
        "added_tokens_decoder": {str(ids[token]): _added(token) for token in specials},
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1024,
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**common, **settings}, indent=2, ensure_ascii=False)
    )
    return {**ids, "": tokenizer.get_vocab_size()}


def _train(split: str | None, nfc: bool):
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    if split is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        cut = pre_tokenizers.Split(Regex(split), behavior="isolated", invert=False)
        letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, letters])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        # The whole alphabet, so that no text is without tokens.
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # As in the real vocabularies an empty line is one token, not two.
    tokenizer.train_from_iterator((f"{sentence}\n\n" for sentence in SENTENCES), trainer)
    return tokenizer


def _added(token: str) -> dict[str, object]:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {"content": token, **flags, "special": True}
