"""`compact` and `tiny` written out: one prompt at a time, every mask a matrix.

Reads weights only. Nothing of the body is called: attention, norms and the prefix-LM mask are
spelled out, so that a mistake in how masks reach the real body shows.
"""

import io

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vlmrec.vlm.prompts import ImagePart, SpecialPart


def embedded(family, prompt) -> tuple[Tensor, Tensor, Tensor]:
    """A prompt's ids [T], places of pictures [T] and embeddings [T, D], within CLS and SEP."""
    network, tokenizer = family.network, family.tokenizer
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    ids, visual, rows = [first], [False], [network.words.weight[[first]]]
    for part in prompt:
        if isinstance(part, ImagePart):
            image = Image.open(io.BytesIO(part.source))
            seen = visual_rows(network, family.prepare(image).tensors["pixels"])
            found = [tokenizer.pad_token_id] * len(seen)
            rows.append(network.projector(seen))
        else:
            text = part.name if isinstance(part, SpecialPart) else part.text
            found = tokenizer(text, add_special_tokens=False)["input_ids"]
            rows.append(network.words.weight[found])
        ids += found
        visual += [isinstance(part, ImagePart)] * len(found)
    rows.append(network.words.weight[[last]])
    return torch.tensor([*ids, last]), torch.tensor([*visual, False]), torch.cat(rows)


def visual_rows(network, pixels: Tensor) -> Tensor:
    """[n, C]: the tower's grid `[C, h, w]` averaged in n squares, row by row."""
    grid = network.tower.extract_features(pixels[None])[0]
    side = round(network.config.visual_tokens**0.5)
    return torch.stack(
        [
            grid[
                :, slice(*_span(row, side, grid.shape[1])), slice(*_span(col, side, grid.shape[2]))
            ]
            .flatten(1)
            .mean(1)
            for row in range(side)
            for col in range(side)
        ]
    )


def _span(number: int, side: int, length: int) -> tuple[int, int]:
    return number * length // side, -(-(number + 1) * length // side)


def prefix_mask(prompt: int, answer: int) -> Tensor:
    """[T, T] bool: the prompt sees the prompt, an answer's token the prompt and what precedes."""
    allowed = torch.zeros(prompt + answer, prompt + answer, dtype=torch.bool)
    allowed[:, :prompt] = True
    for step in range(prompt, prompt + answer):
        allowed[step, prompt : step + 1] = True
    return allowed


def states(network, embeddings: Tensor, allowed: Tensor) -> Tensor:
    """[T, D] of one sequence `[T, D]`; `allowed[q, k]` says whether q sees k."""
    body = network.body
    eps = body.config.layer_norm_eps
    table = body.embeddings
    x = embeddings + table.position_embeddings.weight[: len(embeddings)]
    x = _norm(x + table.token_type_embeddings.weight[0], table.LayerNorm, eps)
    for layer in body.encoder.layer:
        attention = layer.attention
        mixed = _attention(x, attention.self, body.config.num_attention_heads, allowed)
        x = _norm(x + _linear(mixed, attention.output.dense), attention.output.LayerNorm, eps)
        inner = F.gelu(_linear(x, layer.intermediate.dense))
        x = _norm(x + _linear(inner, layer.output.dense), layer.output.LayerNorm, eps)
    return x


def token_loss(network, prompt: Tensor, answer: Tensor) -> Tensor:
    """Mean cross-entropy of the answer's tokens `[n]` behind the prompt's embeddings `[P, D]`."""
    words = network.words.weight
    sequence = torch.cat([prompt, words[answer]])
    x = states(network, sequence, prefix_mask(len(prompt), len(answer)))
    before = x[len(prompt) - 1 : -1]
    logits = _linear(before, network.head) @ words.T + network.bias
    return torch.stack(
        [-row.log_softmax(0)[i] for row, i in zip(logits, answer, strict=True)]
    ).mean()


def greedy(network, prompt: Tensor, most: int, end: int) -> list[int]:
    """The likeliest tokens one after the other behind the prompt's embeddings `[P, D]`."""
    words, answer = network.words.weight, []
    while len(answer) < most and end not in answer:
        sequence = torch.cat([prompt, words[answer]])
        x = states(network, sequence, prefix_mask(len(prompt), len(answer)))
        scores = _linear(x[-1], network.head) @ words.T + network.bias
        answer.append(int(scores.argmax()))
    return answer


def _attention(x: Tensor, layer, heads: int, allowed: Tensor) -> Tensor:
    mixed = []
    query, key, value = (_linear(x, one) for one in (layer.query, layer.key, layer.value))
    for q, k, v in zip(*(one.chunk(heads, dim=1) for one in (query, key, value)), strict=True):
        scores = q @ k.T / k.shape[1] ** 0.5
        mixed.append(scores.masked_fill(~allowed, float("-inf")).softmax(1) @ v)
    return torch.cat(mixed, dim=1)


def _linear(x: Tensor, layer) -> Tensor:
    return x @ layer.weight.T + layer.bias


def _norm(x: Tensor, layer, eps: float) -> Tensor:
    centred = x - x.mean(1, keepdim=True)
    return centred / (centred.pow(2).mean(1, keepdim=True) + eps).sqrt() * layer.weight + layer.bias
