"""Plain versions of the diagnosis figures: loops over items, users and orders."""

import itertools
import math

import numpy as np
from scipy.stats import spearmanr


def effective_rank(vectors: np.ndarray) -> float:
    centred = vectors - vectors.mean(axis=0)
    values = np.linalg.eigvalsh(centred.T @ centred).clip(min=0) ** 0.5
    shares = [value / values.sum() for value in values]
    return math.exp(-sum(share * math.log(share) for share in shares if share > 1e-12))


def uniformity(vectors: np.ndarray) -> float:
    unit = [vector / np.linalg.norm(vector) for vector in vectors]
    found = [
        math.exp(-2 * float(((one - two) ** 2).sum()))
        for one, two in itertools.combinations(unit, 2)
    ]
    return math.log(sum(found) / len(found))


def neighbourhood_agreement(text: np.ndarray, image: np.ndarray) -> float:
    def similarity(vectors, one, two):
        norms = np.linalg.norm(vectors[one]) * np.linalg.norm(vectors[two])
        return float(vectors[one] @ vectors[two]) / norms

    found = []
    for item in range(len(text)):
        others = [other for other in range(len(text)) if other != item]
        by_text = [similarity(text, item, other) for other in others]
        by_image = [similarity(image, item, other) for other in others]
        found.append(float(spearmanr(by_text, by_image).statistic))
    return sum(found) / len(found)


def mean_over_orders(gain: list[float], above: int, ties: int) -> float:
    """Returns the mean gain of the target over all orders of it and `ties` equal items."""
    found = []
    for order in itertools.permutations(range(ties + 1)):
        place = above + order.index(0)
        found.append(gain[place] if place < len(gain) else 0.0)
    return sum(found) / len(found)


def margin(scores: np.ndarray, target: int) -> float:
    others = np.delete(scores.astype(np.float64), target)
    others = others[np.isfinite(others)]
    return (float(scores[target]) - others.mean()) / others.std()


def jaccard(one: list[int], two: list[int]) -> float:
    first, second = set(one) - {0}, set(two) - {0}
    return len(first & second) / len(first | second)
