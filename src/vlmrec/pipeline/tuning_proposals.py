"""Which options a trial of a study tries: those of today first, then what the sampler proposes.

Optuna remembers a list's value as JSON text and a range's as a number. What is tried is at most
rounded from that, and the same options are never tried twice.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vlmrec.core.random import Streams
from vlmrec.pipeline.search_space import Parameter, Space, Values
from vlmrec.pipeline.tuning_plan import Tuning

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

_DRAWS = 100
_GRID_AT_MOST = 10_000


def propose(
    study: "Study",
    space: Space,
    tuning: Tuning,
    tried: Sequence[Mapping[str, Any]],
) -> "tuple[Trial, dict[str, Any]] | None":
    """Returns a trial of the study and its options by path; None where nothing new is left.

    The same study, tuning and trials before it give the same options.

    Args:
        study: Of the row.
        space: What varies.
        tuning: The method.
        tried: Options of the trials so far.
    """
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    ranges = {one.path: _distribution(one) for one in space.parameters}
    if not tried:
        inside = {one.path: _stored(one, one.present) for one in space.parameters if one.inside}
        if inside and not study.get_trials(states=(TrialState.WAITING,)):
            study.enqueue_trial(inside)
        return study.ask({path: ranges[path] for path in inside}), space.present
    known = {_key(options) for options in tried}
    streams, address = Streams(tuning.seed), (space.row.label, len(tried))
    for draw in range(_DRAWS):
        # A sampler for each draw: what one sampler drew before a kill would be forgotten.
        seed = streams.child_seed("sampler", *address, draw) % 2**32
        study.sampler = TPESampler(n_startup_trials=tuning.startup, seed=seed)
        trial = study.ask(ranges)
        options = {one.path: _tried(one, trial.params[one.path]) for one in space.parameters}
        if _key(options) not in known:
            return trial, options
        study.tell(trial.number, state=TrialState.FAIL)
        size = space.size
        if size is not None and size <= _GRID_AT_MOST:
            left = [options for options in space.grid() if _key(options) not in known]
            if not left:
                return None
            lot = left[int(streams.numpy("untried", *address).integers(len(left)))]
            study.enqueue_trial({one.path: _stored(one, lot[one.path]) for one in space.parameters})
    return None


def _distribution(one: Parameter) -> "BaseDistribution":
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    among = one.among
    if isinstance(among, Values):
        return CategoricalDistribution([_text(value) for value in among.values])
    if one.whole:
        step = 1 if among.step is None else int(among.step)
        return IntDistribution(int(among.low), int(among.high), log=among.log, step=step)
    return FloatDistribution(float(among.low), float(among.high), log=among.log, step=among.step)


def _stored(one: Parameter, value: Any) -> Any:
    return _text(value) if isinstance(one.among, Values) else value


def _tried(one: Parameter, stored: Any) -> Any:
    return json.loads(stored) if isinstance(one.among, Values) else one.nearest(stored)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _key(options: Mapping[str, Any]) -> str:
    return json.dumps(options, sort_keys=True)
