import numpy as np
import torch

from vlmrec.core.random import Streams


def test_an_address_always_gives_the_same_numbers():
    first, again = Streams(3).numpy("windows", 1), Streams(3).numpy("windows", 1)
    assert np.array_equal(first.random(5), again.random(5))
    one, two = Streams(3).torch("init"), Streams(3).torch("init")
    assert torch.equal(torch.rand(5, generator=one), torch.rand(5, generator=two))


def test_other_addresses_and_seeds_give_other_numbers():
    seeds = [
        Streams(seed).child_seed(*address)
        for seed in (0, 1)
        for address in (("a",), ("a", 0), ("a", 1), ("b",), ("a", 0, 1), ("a", 1, 0), ("a0",))
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeds_stay_what_they_are_between_releases():
    # Another number here means that no stored run can be reproduced any more.
    assert Streams(0).child_seed("windows", 0) == 7533544105278769453


def test_global_random_states_are_left_alone():
    before = (torch.get_rng_state(), np.random.get_state()[1])
    Streams(1).torch("x")
    Streams(1).numpy("x")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
