"""Which way to train is advised, and what would help where nothing fits."""

from dataclasses import asdict, dataclass
from typing import Any

from vlmrec.core.memory import format_bytes
from vlmrec.pipeline.plans import PROGRAM, RESERVE, Plan

_TIGHT = 0.6  # of the memory; beyond it, what the C library holds back can matter


@dataclass(frozen=True)
class Estimate:
    """What `estimate_training` found.

    Attributes:
        facts: Model, data and device in plain values.
        plans: From the one that changes most weights to the most frugal one.
        advised: Index of the advised plan, or None where nothing fits.
        verdict: One sentence.
        advice: What else to know or to try.
    """

    facts: dict[str, Any]
    plans: list[Plan]
    advised: int | None
    verdict: str
    advice: list[str]

    def to_json(self) -> dict[str, Any]:
        """Returns all of it in JSON's types."""
        plans = []
        for plan in self.plans:
            tuning = plan.tuning.model_dump(mode="json")
            plans.append({**asdict(plan), "tuning": tuning, "peak_bytes": plan.peak})
        return {**asdict(self), "plans": plans}


def judge(facts: dict[str, Any], plans: list[Plan], asked: str | None, room: int) -> Estimate:
    """Returns the estimate with the plan that is advised.

    That is the first that takes the wanted batch; where a kind of tuning was asked for, the
    first of that kind, else the one of it with the largest batch.

    Args:
        facts: Model, data and device.
        plans: From the one that changes most weights to the most frugal one.
        asked: Kind of tuning that the user gave, or None.
        room: Bytes that may be used.
    """
    wanted = [n for n, plan in enumerate(plans) if asked in (None, plan.tuning.kind)]
    order = [n for n in wanted if plans[n].fits]
    order += sorted(
        (n for n in wanted if plans[n].largest_batch),
        key=lambda n: -(plans[n].largest_batch or 0),
    )
    order += [n for n, plan in enumerate(plans) if plan.fits]
    if order:
        best = plans[order[0]]
        return Estimate(facts, plans, order[0], _verdict(best, facts), _hints(facts, best))
    least = min(plans, key=lambda plan: plan.peak)
    verdict = (
        f"Does not fit: even {least.name}, {least.chunk} row at a time, needs "
        f"{format_bytes(least.peak)} of {format_bytes(room)} (5 % of the memory is left free)."
    )
    return Estimate(facts, plans, None, verdict, _ways_out(facts, least, room))


def _verdict(best: Plan, facts: dict[str, Any]) -> str:
    if not best.fits:
        return f"Fits with a smaller batch only: {best.name}, batch {best.largest_batch}."
    chunk = "" if best.chunk is None else f" in chunks of {best.chunk}"
    peak = format_bytes(best.peak)
    return f"Fits: {best.name}, batch {facts['batch']}{chunk}, {peak} at the peak."


def _hints(facts: dict[str, Any], best: Plan) -> list[str]:
    hints: list[str] = []
    if facts["pictures_dropped"] or facts["texts_cut"]:
        hints.append(
            f"A prompt takes at most {facts['longest_prompt_allowed']:,} tokens. Of the "
            f"{facts['sampled_rows']} sampled histories {facts['texts_cut']} lost words, and "
            f"{facts['pictures_dropped']} pictures were left out: a shorter --history or fewer "
            "visual tokens avoid it."
        )
    if facts["device"] == "cpu" and best.peak > _TIGHT * facts["memory_bytes"]:
        hints.append(
            "On a CPU the C library may hold back freed memory, up to a third more; start with "
            "MALLOC_MMAP_THRESHOLD_=65536 in the environment to avoid it."
        )
    if facts["tflops"] is None:
        hints.append("The time is unknown, because the device is not here.")
    return hints


def _ways_out(facts: dict[str, Any], least: Plan, room: int) -> list[str]:
    """Returns what would make it fit."""
    fixed = least.memory.weights + least.memory.gradients + least.memory.optimiser + PROGRAM
    if fixed > room:
        ways = [
            f"Weights and program alone need {format_bytes(fixed)}: take a smaller model, or "
            f"more memory than {format_bytes(least.peak / (1 - RESERVE))}."
        ]
        if facts["dtype"] == "float32":
            ways.append("--set vlm.dtype=bfloat16 halves the weights, on a device that has it.")
        return ways
    ways = [f"Shorter histories: --history {max(facts['history'] // 2, 1)}."]
    if facts["tokens_per_picture"] > 1 and facts["budgets"]:
        options = " or ".join(f"--set vlm.{name}=..." for name in facts["budgets"])
        ways.append(f"Fewer visual tokens ({facts['tokens_per_picture']:.0f} a picture): {options}")
    ways.append(f"More memory: {format_bytes(least.peak / (1 - RESERVE))}, or a smaller model.")
    return ways
