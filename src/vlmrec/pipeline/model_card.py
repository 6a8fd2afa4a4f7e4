"""The README.md of a run on a model hub: what hubs read at its top, what people read below."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

_SHOWN = ("NDCG@10", "Recall@10", "MRR@10")
_TASK = "Next-item recommendation"


def model_card(info: Mapping[str, Any], left_out: Sequence[str]) -> str:
    """Returns the card as Markdown with YAML at its top.

    Args:
        info: The run's record, as it is shared.
        left_out: What was not shared of the run.
    """
    top = yaml.safe_dump(_top(info), sort_keys=False, allow_unicode=True)
    parts = [f"---\n{top}---", f"# {info['model']}", _about(info), _measured(info), _use()]
    parts += [_options(info), _contents(info, left_out)]
    return "\n\n".join(parts) + "\n"


def _top(info: Mapping[str, Any]) -> dict[str, Any]:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="other",
            task_name=_TASK,
            dataset_type=info["dataset"]["fingerprint"],
            dataset_name=_dataset(info),
            dataset_split=f"test, {info['split']['name']}",
            metric_type=name.lower(),
            metric_name=f"{name}, 95 % interval {one['low']:.4f} to {one['high']:.4f}",
            metric_value=round(one["mean"], 4),
        )
        for name, one in _metrics(info).items()
    ]
    card = ModelCardData(
        library_name="vlmrec",
        pipeline_tag="other",
        tags=["recommendation", "sequential-recommendation", info["model"]],
        model_name=info["model"] if results else None,
        eval_results=results or None,
    )
    return card.to_dict()


def _about(info: Mapping[str, Any]) -> str:
    shape = info["shape"]
    return (
        f"A run of the model `{info['model']}`: recommends the next of {shape['n_items']:,} items "
        f"after a history of item ids, also for people who were not there in training. Trained on "
        f"{_dataset(info)} ({shape['n_users']:,} users, fingerprint "
        f"`{info['dataset']['fingerprint'][:12]}`), split {info['split']['name']}, loss: "
        f"{info['loss']}, seed {info['seed']}."
    )


def _measured(info: Mapping[str, Any]) -> str:
    found = _metrics(info)
    if not found:
        return "## Results\n\nThis run was not tested."
    test = info["metrics"]["test"]
    rows = [("this run", found)]
    rows += [(name, one["metrics"]) for name, one in info["metrics"].get("anchors", {}).items()]
    lines = [
        f"| | {' | '.join(found)} |",
        f"|---|{'---|' * len(found)}",
        *(
            f"| {name} | {' | '.join(_shown(one[metric]) for metric in found)} |"
            for name, one in rows
        ),
    ]
    how = f"{info['split']['name']}; {test['protocol']}; 95 % intervals in brackets."
    return "\n".join(["## Results", "", *lines, "", how[0].upper() + how[1:]])


def _use() -> str:
    return """## Use

```bash
pip install vlmrec
vlmrec pull FOLDER_OR_HUB_ADDRESS --out run
vlmrec recommend run --history ITEM,ITEM -k 10
```"""


def _options(info: Mapping[str, Any]) -> str:
    asked = {"model": info["spec"], "training": info["options"]}
    text = yaml.safe_dump(asked, sort_keys=False, allow_unicode=True)
    return f"## Options\n\n```yaml\n{text}```"


def _contents(info: Mapping[str, Any], left_out: Sequence[str]) -> str:
    text = (
        "## What is in here\n\nWeights and vectors as safetensors, item ids and titles with how "
        "often training saw them, and for models that read items themselves their words and "
        "pictures. `config.json` holds the SHA-256 of every file. No user ids, no histories."
    )
    if left_out:
        text += f" Left out of the run: {', '.join(left_out)}."
    if any(one.startswith("the rows of single users") for one in left_out):
        text += (
            " The results above were measured with these rows; without them the model treats "
            "everybody as a person who was not there in training."
        )
    return text


def _dataset(info: Mapping[str, Any]) -> str:
    return info["dataset"]["folder"] or "a dataset in memory"


def _metrics(info: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    test = info.get("metrics", {}).get("test", {}).get("metrics", {})
    return {name: test[name] for name in _SHOWN if name in test}


def _shown(one: Mapping[str, float]) -> str:
    return f"{one['mean']:.4f} ({one['low']:.4f} to {one['high']:.4f})"
