"""What each frugality of the VLM room saves, beside the same work without it.

    python -m benchmarks.vlm [--data FOLDER] [--quick]

FOLDER is a dataset with texts and pictures (the numbers in results/ are of MovieLens-100K with
plots and posters); without it a shop is generated. All with `compact`, all ratios within one run:

- buckets: embedding texts in batches of like length, against all padded to the longest text of
  a call (256 prompts); the most that this can save is longest / mean length
- visual cache: a LoRA step over histories of 10 with pictures, against the same step that runs
  the frozen tower
- distinct: encoding the items of batches of 32 training histories of 10, each distinct one once,
  against every occurrence; the most that this can save is occurrences / distinct items
- room: the same by distinct items and buckets together, against the plain loop (every
  occurrence, padded to longest)
- second embed: the whole verb after one caption was edited, against the first time
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch

from benchmarks.machine import describe_machine
from benchmarks.report import format_table, options_parser, result_path, write_result
from vlmrec.core.columns import DESCRIPTION
from vlmrec.core.random import Streams
from vlmrec.data.batches import NextItemBatches
from vlmrec.data.dataset import Dataset
from vlmrec.data.shop import ShopConfig, generate_shop, write_shop
from vlmrec.items.cache import VectorCache
from vlmrec.pipeline.content import encode_catalog
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.prompts import Prompt, make_prompt
from vlmrec.vlm.visual_cache import VisualCache

COLUMNS = ("what", "with_s", "without_s", "ratio", "goal", "at_most")
HISTORIES, LENGTH = 32, 10
TEXTS = {"all fields": None, "title": ["title"], "description": ["description"]}


def timed(work: Callable[[], Any], repeats: int) -> float:
    """Returns the least seconds of some repeats."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def paired(
    what: str, goal: str, with_it: Callable[[], Any], without: Callable[[], Any], repeats: int
) -> dict[str, Any]:
    """Returns both times and their ratio; the two alternate, so that load falls on both."""
    seconds = [(timed(with_it, 1), timed(without, 1)) for _ in range(repeats)]
    fast, slow = (min(side) for side in zip(*seconds, strict=True))
    return {"what": what, "with_s": fast, "without_s": slow, "ratio": slow / fast, "goal": goal}


def buckets(model_name: str, what: str, texts: Sequence[str], repeats: int) -> dict[str, Any]:
    """Embeds texts in buckets and padded to longest."""
    prompts = [make_prompt(text) for text in texts]
    model = load_vlm(model_name)

    def run(bucketed: bool) -> Callable[[], Any]:
        def work() -> None:
            _set(model, bucketed=bucketed)
            with torch.no_grad():
                model.encode(prompts)

        return work

    return {
        **paired(f"buckets: {what}", ">= 1.5", run(True), run(False), repeats),
        "texts": len(texts),
        "at_most": _padding(model, prompts),
    }


def visual_cache(
    model_name: str, histories: list[Prompt], folder: Path, repeats: int
) -> dict[str, Any]:
    """Does LoRA steps over histories with and without the cache of the frozen tower."""
    model = load_vlm(model_name, tuning=TuningOptions(kind="lora")).train()
    cache = VisualCache(folder, model.visual_identity())
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad])

    def step(known: VisualCache | None) -> Callable[[], Any]:
        def work() -> None:
            model.use_visual_cache(known)
            vectors = model.encode(histories)
            (vectors @ vectors.T).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

        return work

    step(cache)()  # fills the cache and warms up
    return paired("visual cache", ">= 3", step(cache), step(None), repeats)


def distinct(
    model_name: str, batches: list[list[Prompt]], folder: Path, repeats: int
) -> list[dict[str, Any]]:
    """Encodes the items of batches, each distinct one once and every occurrence."""
    model = load_vlm(model_name)
    model.use_visual_cache(VisualCache(folder, model.visual_identity()))

    def run(once: bool, bucketed: bool) -> Callable[[], Any]:
        def work() -> None:
            _set(model, deduplicate=once, bucketed=bucketed)
            with torch.no_grad():
                for prompts in batches:
                    model.encode(prompts)

        return work

    run(True, True)()
    occurrences = sum(len(prompts) for prompts in batches)
    bound = occurrences / sum(len(set(prompts)) for prompts in batches)
    alone = paired("distinct", ">= 2", run(True, True), run(False, True), repeats)
    room = paired("room", "", run(True, True), run(False, False), repeats)
    return [{**alone, "at_most": bound}, room]


def second_embed(encoder: str, dataset: Dataset, folder: Path) -> dict[str, Any]:
    """Embeds a catalogue, edits one caption, embeds again; loading the model included."""
    cache = VectorCache(folder)

    def embed(catalog: Any) -> tuple[float, int]:
        start = time.perf_counter()
        made = encode_catalog("both", encoder, catalog, cache=cache)
        return time.perf_counter() - start, made.counts.encoded

    first, n_first = embed(dataset.catalog)
    table = dataset.catalog.table.with_columns(
        pl.when(pl.int_range(pl.len()) == 7)
        .then(pl.lit("A caption that was edited."))
        .otherwise(pl.col(DESCRIPTION))
        .alias(DESCRIPTION)
    )
    edited = type(dataset.catalog)(table, dataset.catalog.root)
    second, n_second = embed(edited)
    return {
        "what": "second embed",
        "with_s": second,
        "without_s": first,
        "ratio": first / second,
        "goal": ">= 20 (5 %)",
        "encoded": [n_first, n_second],
        "share": second / first,
    }


def history_batches(dataset: Dataset, n: int) -> list[list[list[int]]]:
    """Returns the item ids of the first batches of training windows, history by history."""
    batches = NextItemBatches(dataset.leave_one_out().train, LENGTH, HISTORIES, Streams(0))
    plan = batches.plan(0)[:n]
    return [
        [[item for item in row if item] for row in batches.build(one, 0, step).items.tolist()]
        for step, one in enumerate(plan)
    ]


def made_up_shop(folder: Path, *, quick: bool) -> Dataset:
    """Returns a generated shop, its pictures in `folder`."""
    config = ShopConfig(n_items=40, n_shoppers=40) if quick else ShopConfig()
    shop = generate_shop(config)
    write_shop(shop, folder)
    return Dataset.from_frames(shop.interactions, shop.items, images=folder / "images")


def item_prompts(dataset: Dataset) -> list[Prompt]:
    """Returns one prompt an item, picture then text, in internal order; a dummy stands at 0."""
    texts, pictures = dataset.catalog.texts(), dataset.catalog.image_paths()
    prompts = [
        make_prompt(picture, text) if picture else make_prompt(text or "nothing known")
        for text, picture in zip(texts, pictures, strict=True)
    ]
    return [make_prompt("padding"), *prompts]


def _title_history(dataset: Dataset, items: list[int]) -> Prompt:
    """Returns a history as one interleaved prompt of pictures and titles."""
    titles = dataset.catalog.table["title"].to_list()
    pictures = dataset.catalog.image_paths()
    parts: list[str | Path] = []
    for item in items:
        picture = pictures[item - 1]
        parts += [picture] if picture else []
        parts.append(f" {titles[item - 1] or 'nothing known'}. ")
    return make_prompt(*parts)


def _set(model: VisionLanguageModel, **options: bool) -> None:
    model.options = model.options.model_copy(update=options)


def _padding(model: VisionLanguageModel, prompts: list[Prompt]) -> float:
    """Returns longest / mean length: what padding to longest costs in tokens."""
    tokenizer = model.family.tokenizer
    texts = [part.text for prompt in prompts for part in prompt if hasattr(part, "text")]
    lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
    return max(lengths) / (sum(lengths) / len(lengths))


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Runs all cases."""
    work = Path(tempfile.mkdtemp(prefix="vlmrec-bench-"))
    if options.data is None:
        dataset = made_up_shop(work / "shop", quick=options.quick)
    else:
        dataset = Dataset.load(options.data)
    name = "tiny" if options.quick else "compact"
    n, repeats = (40, 1) if options.quick else (dataset.n_items, 2)
    rows: list[dict[str, Any]] = []
    try:
        for what, fields in TEXTS.items():
            texts = [text for text in dataset.catalog.texts(fields)[:n] if text]
            rows.append(buckets(name, what, texts, repeats))
            _show(rows)
        batches = history_batches(dataset, 1 if options.quick else 2)
        histories = [_title_history(dataset, items) for items in batches[0]]
        rows.append(visual_cache(name, histories, work / "visual", repeats))
        _show(rows)
        prompts = item_prompts(dataset)
        occurrences = [[prompts[item] for row in one for item in row] for one in batches]
        rows += distinct(name, occurrences, work / "visual", repeats)
        _show(rows)
        rows.append(second_embed(name, dataset, work / "vectors"))
    finally:
        shutil.rmtree(work)
    return rows


def _show(rows: list[dict[str, Any]]) -> None:
    print(format_table(rows[-1:], COLUMNS), flush=True)


def main() -> None:
    """Measures, prints a table, writes the result."""
    parser = options_parser("vlm", __doc__)
    parser.add_argument("--data", type=Path, help="dataset folder with texts and pictures")
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    rows = measure(options)
    print("\n" + format_table(rows, COLUMNS))
    result = {"machine": describe_machine(), "defaults": VlmOptions().model_dump(), "rows": rows}
    write_result(result_path("vlm", options), result)


if __name__ == "__main__":
    main()
