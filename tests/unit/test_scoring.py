import math

import pytest
import torch

from vlmrec.core.errors import ConfigError
from vlmrec.scoring import Scorer, ScoringConfig

STATES, VECTORS = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))


def scores(config: ScoringConfig) -> torch.Tensor:
    scorer = Scorer(config)
    return (scorer.queries(STATES) @ scorer.keys(VECTORS).T).detach()


def test_dot_is_the_plain_product():
    assert scores(ScoringConfig()).equal(STATES @ VECTORS.T)
    half = scores(ScoringConfig(temperature=2.0))
    torch.testing.assert_close(half, STATES @ VECTORS.T / 2)


def test_cosine_ignores_lengths():
    expected = torch.nn.functional.cosine_similarity(STATES[:, None], VECTORS[None], dim=-1)
    torch.testing.assert_close(scores(ScoringConfig(kind="cosine")), expected)
    sharp = scores(ScoringConfig(kind="cosine", temperature=0.1, learnable=True))
    torch.testing.assert_close(sharp, 10 * expected)


def test_a_learned_temperature_is_a_bounded_parameter():
    scorer = Scorer(ScoringConfig(kind="cosine", temperature=0.1, learnable=True))
    assert [name for name, _ in scorer.named_parameters()] == ["log_scale"]
    with torch.no_grad():
        scorer.log_scale.fill_(50.0)
    assert scorer.queries(STATES).norm(dim=-1).tolist() == pytest.approx([100.0] * 4)
    fixed = Scorer(ScoringConfig(temperature=0.1))
    assert not list(fixed.parameters())
    assert fixed.state_dict()["log_scale"].item() == pytest.approx(math.log(10))


def test_a_temperature_must_be_positive():
    with pytest.raises(ConfigError, match=r"'scoring\.temperature' was given 0\.0"):
        Scorer(ScoringConfig(temperature=0.0))
