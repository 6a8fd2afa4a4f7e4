"""The losses of two-branch models as written on paper: one row and one candidate at a time."""

import math


def info_nce(row, target, negatives, t, margin=0.0):
    """Returns -log(e^{s+/t} / (e^{s+/t} + e^{margin/t} sum_j e^{s_j/t})) of a list of scores."""
    against = sum(math.exp((row[j] + margin) / t) for j in negatives)
    own = math.exp(row[target] / t)
    return -math.log(own / (own + against))


def margin(row, target, negatives, kind, t):
    """Returns by how much the target beats the negatives."""
    differences = [row[target] - row[j] for j in negatives]
    if kind == "max":
        return min(differences)
    if kind == "mean":
        return sum(differences) / len(differences)
    return -t * math.log(sum(math.exp(-d / t) for d in differences) / len(differences))


def negatives_of(case, row, known):
    """Returns the columns that row is compared with: allowed and known, as is the target."""
    target = case["targets"][row]
    if not known[row][target]:
        return []
    columns = range(len(known[row]))
    return [j for j in columns if j != target and case["allowed"][row][j] and known[row][j]]


def both(case):
    """Returns where text and image are known."""
    pairs = zip(case["text_known"], case["image_known"], strict=True)
    return [[a and b for a, b in zip(*rows, strict=True)] for rows in pairs]


def wpcl(case, row, t, variant="A", kappa=0.5, gap_max=0.3, kind="soft-min", margin_t=None):
    """Returns (loss, gap, weak is image, weight) of a row."""
    target = case["targets"][row]
    fused = case["fused"][row]
    everywhere = [[True] * len(fused)] * len(case["targets"])
    negatives = negatives_of(case, row, everywhere)
    plain = info_nce(fused, target, negatives, t)
    compared = negatives_of(case, row, both(case))
    if not compared:
        return plain, 0.0, False, 1.0
    text, image = (
        margin(case[name][row], target, compared, kind, margin_t or t) for name in ("text", "image")
    )
    gap = min(gap_max, abs(text - image))
    weight = math.exp(kappa * gap / t)
    if variant == "C":
        weak = "image" if image < text else "text"
        own = negatives_of(case, row, case[f"{weak}_known"])
        loss = plain + (weight - 1) * info_nce(case[weak][row], target, own, t)
    else:
        loss = info_nce(fused, target, negatives, t, kappa * gap)
    return loss, gap, image < text, weight


def ranks(row, columns, t):
    """Returns the softmax of a row's scores over some columns."""
    masses = [math.exp(row[j] / t) for j in columns]
    return [mass / sum(masses) for mass in masses]


def divergence(text, image, columns, t):
    """Returns half the sum of the two Kullback-Leibler divergences; 0 below two columns."""
    if len(columns) < 2:
        return 0.0
    pairs = list(zip(ranks(text, columns, t), ranks(image, columns, t), strict=True))
    forth = sum(p * math.log(p / q) for p, q in pairs)
    back = sum(q * math.log(q / p) for p, q in pairs)
    return (forth + back) / 2


def starvation(case, name, t):
    """Returns the fused softmax mass on all negatives over that of branch `name`."""
    masses = {"fused": 0.0, name: 0.0}
    for row, target in enumerate(case["targets"]):
        compared = negatives_of(case, row, both(case))
        for branch in masses:
            shares = ranks(case[branch][row], [target, *compared], t)
            masses[branch] += sum(shares[1:])
    return masses["fused"] / masses[name]
