"""What writing a checkpoint has in common between the families."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

# The spread of the weights. The usual 0.02 makes the vectors of all inputs nearly equal.
SPREAD = 0.3

HALF = [0.5, 0.5, 0.5]


def write_model(folder: Path, build: Callable[[], torch.nn.Module], seed: int) -> None:
    """Builds a model from `seed` without touching the caller's random state, and saves it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
        _stir(model)
    model.save_pretrained(folder)


def write_json(folder: Path, name: str, content: Mapping[str, object]) -> None:
    """Writes one of the checkpoint's JSON files."""
    (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False))


def pixels(kind: str, **settings: object) -> dict[str, object]:
    """What every `preprocessor_config.json` holds, and the family's own settings."""
    return {
        "image_processor_type": kind,
        "do_convert_rgb": True,
        "do_resize": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": HALF,
        "image_std": HALF,
        "resample": 3,
        **settings,
    }


def write_chat(folder: Path, *, image: str, opening: str, closing: str, start: str = "") -> None:
    """Writes `chat_template.jinja`: per message `opening`, its parts, `closing`.

    `opening` has `ROLE` where the role belongs; `start` is written once, before everything.
    """
    head, tail = opening.split("ROLE")
    answer = opening.replace("ROLE", "assistant")
    (folder / "chat_template.jinja").write_text(
        start + "{% for message in messages %}" + head + "{{ message['role'] }}" + tail + "{% if "
        "message['content'] is string %}{{ message['content'] }}{% else %}"
        "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
        + image
        + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
        + closing
        + "{% endfor %}{% if add_generation_prompt %}"
        + answer
        + "{% endif %}"
    )


@torch.no_grad()
def _stir(model: torch.nn.Module) -> None:
    """Gives parameters that begin at zero, at one or next to it values of their own.

    A closed gate hides the pictures, and positions of zero hide their order: a test would not see
    a mistake there.
    """
    for parameter in model.parameters():
        if parameter.numel() == 1:
            parameter.fill_(0.7)
        elif parameter.std() < 0.05:
            parameter.add_(torch.randn_like(parameter) * 0.2)
