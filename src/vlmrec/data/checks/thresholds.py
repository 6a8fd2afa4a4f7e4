"""Where a check warns, where it fails, and why there.

*Warn*: so many cases are touched that a reader of the result must be told. *Fail*: it is a defect
of which the data can be cured, and it touches so many cases that it can decide which of two models
is better. What the protocol or the trade brings along (training that knows the future of others,
repeats, k-core, items without a picture) only ever warns: there is nothing to repair, and a result
that says it is sound.
"""

WARN_SHARE = 0.01
"""Of test cases, or of what comes nearest to them. The 95 % interval of a metric over some
thousand users is 5 to 20 % of it wide: what touches fewer than one case in a hundred cannot be
seen in it."""

FAIL_SHARE = 0.10
"""Of test cases. Papers and shops decide by differences of 2 to 10 % between models; cases of
which more than a tenth are decided by a defect can make or turn such a difference."""

SORTED_SHARE = 0.9
"""Of neighbours with the same user and time, how many stand in the order of their ids. In an
accidental order it is half. Then the file, not the user, decides what comes next, and a
sequential model learns to sort."""

FEWEST_TIED_PAIRS = 100
"""Fewer neighbours than this are not judged for `SORTED_SHARE`: .9 of 100 coin flips never come
out heads by accident (p < 1e-16)."""

LONG_HISTORY = 5
"""Events from which two users with the same items in the same order are taken for one: shorter
histories coincide by chance in small catalogues."""

FILTERED_USER, FILTERED_ITEM = 3, 1
"""Fewest events of a user and an item that need no filter: leave-one-out itself needs 3."""

LEAST_ORDER_GAIN = 0.05
"""Of the score. A model that reads order has to pay for its cost; with less to be had from the
order than 5 %, item-kNN and popularity are the ones to beat."""

POPULAR_ITEMS, MOST_POPULAR_TARGETS = 0.1, 0.5
"""More than half of the test targets among a tenth of the items: the mean over users is then
mostly about items that popularity finds too."""
