"""How sure a mean over users is: percentile bootstrap, alone and paired."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vlmrec.core.errors import ConfigError
from vlmrec.core.random import Streams

_ELEMENTS_AT_A_TIME = 1 << 21


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval; all NaN where there was no case.

    Attributes:
        mean: The mean over cases.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference(Estimate):
    """How two runs differ on the same cases, second minus first.

    Attributes:
        mean: The mean of the cases' differences.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p_value: Two-sided, of the hypothesis that the mean difference is 0. Not corrected
            for the number of comparisons made: see `holm`.
        effect_size: The mean of the users' differences over their standard deviation (Cohen's
            d_z). With thousands of users nearly any gap is significant; this says if it matters.
        n: Number of users.
    """

    p_value: float
    effect_size: float
    n: int


@dataclass(frozen=True, eq=False)
class ResampledMeans:
    """Means of several columns, and what they would be for other users of the same kind.

    Attributes:
        means: ``[M]`` the observed means.
        draws: ``[R, M]`` the means of each resample; columns of a row share their users.
        confidence: Probability content of intervals.
    """

    means: np.ndarray
    draws: np.ndarray
    confidence: float

    def estimates(self) -> list[Estimate]:
        """Returns the mean of each column with its interval."""
        return [self.estimate(lambda means, i=i: means[..., i]) for i in range(len(self.means))]

    def estimate(self, statistic: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        """Returns a number that follows from the means, such as a ratio, with its interval.

        Args:
            statistic: ``[..., M]`` means -> ``[...]``; NaN where it is undefined.
        """
        mean = float(statistic(self.means))
        drawn = statistic(self.draws)
        drawn = drawn[np.isfinite(drawn)]
        if not len(drawn) or not math.isfinite(mean):
            return Estimate(math.nan, math.nan, math.nan)
        low, high = _interval(drawn, self.confidence)
        return Estimate(mean, float(low), float(high))


def bootstrap_means(
    values: np.ndarray,
    *,
    streams: Streams,
    address: tuple[str | int, ...] = (),
    users: np.ndarray | None = None,
    n_resamples: int = 1000,
    confidence: float = 0.95,
) -> list[Estimate]:
    """Returns the mean of each column and its percentile bootstrap interval over users.

    Drawing n users with replacement is the same as drawing how often each *distinct* row
    of values occurs from a multinomial distribution. Metrics of ranks have few distinct rows,
    so a million users cost little more than a thousand. Users with several cases are drawn as
    a whole, because cases of one user are not independent.

    Args:
        values: ``[n, M] float`` one row a case.
        streams: Source of randomness.
        address: Distinguishes this draw from others of the same streams.
        users: ``[n] int`` whose case each row is; None where every case is another user's.
        n_resamples: Number of bootstrap resamples.
        confidence: Probability content of the interval, such as 0.95.

    Raises:
        ConfigError: `n_resamples` or `confidence` make no sense.
    """
    return resample_means(
        values,
        streams=streams,
        address=address,
        users=users,
        n_resamples=n_resamples,
        confidence=confidence,
    ).estimates()


def resample_means(
    values: np.ndarray,
    *,
    streams: Streams,
    address: tuple[str | int, ...] = (),
    users: np.ndarray | None = None,
    n_resamples: int = 1000,
    confidence: float = 0.95,
) -> ResampledMeans:
    """Returns the means of the columns with their bootstrap resamples over users.

    Arguments and errors are those of `bootstrap_means`.
    """
    _check(n_resamples, confidence)
    n, M = values.shape
    if n == 0:
        return ResampledMeans(np.full((M,), math.nan), np.empty((0, M)), confidence)
    # The last column counts a user's cases, so that sums become means at the end.
    sums = _sums_by_user(np.column_stack([values, np.ones(n)]), users)
    generator = streams.numpy("bootstrap", *address)
    drawn = _resampled_means(sums, generator, n_resamples)
    means = np.asarray(values.mean(axis=0))
    return ResampledMeans(means, drawn[:, :M] / drawn[:, M:], confidence)


def paired_bootstrap(
    first: np.ndarray,
    second: np.ndarray,
    *,
    streams: Streams,
    users: np.ndarray | None = None,
    n_resamples: int = 1000,
    confidence: float = 0.95,
) -> PairedDifference:
    """Returns by how much `second` exceeds `first`, case by case.

    The p-value is the share of resampled mean differences, moved so that their true mean is
    0, that are at least as far from 0 as the observed one; the observed one is counted among
    them, so it is never 0.

    Args:
        first: ``[n] float`` values of one run.
        second: ``[n] float`` values of another run, the same cases in the same order.
        streams: Source of randomness.
        users: ``[n] int`` whose case each is; None where every case is another user's.
        n_resamples: Number of bootstrap resamples.
        confidence: Probability content of the interval.

    Raises:
        ConfigError: The runs do not have the same number of cases, or have none.
    """
    _check(n_resamples, confidence)
    if first.shape != second.shape or first.ndim != 1 or len(first) == 0:
        raise ConfigError(
            f"Two runs are compared case by case, but they have values of shape {first.shape} "
            f"and {second.shape}.",
            "Evaluate both on the same cases.",
        )
    differences = second.astype(np.float64) - first.astype(np.float64)
    sums = _sums_by_user(np.column_stack([differences, np.ones(len(differences))]), users)
    drawn = _resampled_means(sums, streams.numpy("bootstrap", "paired"), n_resamples)
    resampled = drawn[:, 0] / drawn[:, 1]
    mean = float(differences.mean())
    # The slack keeps a resample that equals the observed mean from being lost to rounding.
    slack = 1e-12 * float(np.abs(differences).max())
    as_far = int((np.abs(resampled - mean) >= abs(mean) - slack).sum())
    low, high = _interval(resampled, confidence)
    return PairedDifference(
        mean=mean,
        low=float(low),
        high=float(high),
        p_value=(as_far + 1) / (n_resamples + 1),
        effect_size=_effect_size(sums[:, 0] / sums[:, 1]),
        n=len(sums),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for being several (Holm, 1979, step-down).

    The chance that any true null hypothesis is rejected stays below the level at which the
    corrected values are judged, whatever the dependence between them.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def distinct_rows(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct rows of ``values [n, M]`` and how often each occurs.

    >>> distinct_rows(np.array([[2.0, 0.0], [1.0, 0.0], [2.0, 0.0]]))[1].tolist()
    [1, 2]
    """
    code = np.zeros(len(values), dtype=np.int64)
    for column in values.T:  # one column at a time: far faster than comparing whole rows
        levels, level = np.unique(column, return_inverse=True)
        code = np.unique(code * len(levels) + level, return_inverse=True)[1]
    _, first, counts = np.unique(code, return_index=True, return_counts=True)
    return values[first], counts


def _sums_by_user(values: np.ndarray, users: np.ndarray | None) -> np.ndarray:
    if users is None:
        return values
    names, place = np.unique(users, return_inverse=True)
    if len(names) == len(users):
        return values
    sums = [np.bincount(place, weights=column, minlength=len(names)) for column in values.T]
    return np.column_stack(sums)


def _resampled_means(
    values: np.ndarray, generator: np.random.Generator, n_resamples: int
) -> np.ndarray:
    """Returns ``[n_resamples, M]`` means of resampled rows, in bounded memory."""
    rows, counts = distinct_rows(values)
    n = len(values)
    at_a_time = max(1, _ELEMENTS_AT_A_TIME // len(rows))
    parts: list[np.ndarray] = []
    for start in range(0, n_resamples, at_a_time):
        size = min(at_a_time, n_resamples - start)
        drawn = generator.multinomial(n, counts / n, size=size)  # [size, distinct rows]
        parts.append(drawn @ rows / n)
    return np.concatenate(parts)


def _interval(means: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return low, high


def _effect_size(differences: np.ndarray) -> float:
    mean = float(differences.mean())
    if mean == 0.0:
        return 0.0
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return mean / spread if spread > 0.0 else math.copysign(math.inf, mean)


def _check(n_resamples: int, confidence: float) -> None:
    if n_resamples < 1:
        raise ConfigError(
            f"{n_resamples} bootstrap resamples were asked for; at least 1 was expected.",
            "1000 is usual.",
        )
    if not 0.0 < confidence < 1.0:
        raise ConfigError(
            f"A confidence of {confidence} was asked for; a number between 0 and 1 was expected.",
            "0.95 is usual.",
        )
