import json

import pytest
import torch

from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.vlm.pooling import TextRecipe, pool, read_recipe

TOKENS = torch.tensor(
    [[[1.0, 4.0], [3.0, -2.0], [100.0, 100.0]], [[-3.0, -4.0], [9.0, 9.0], [9.0, 9.0]]]
)
MASK = torch.tensor([[True, True, False], [True, False, False]])


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [[2.0, 1.0], [-3.0, -4.0]]),
        ("cls", [[1.0, 4.0], [-3.0, -4.0]]),
        ("max", [[3.0, 4.0], [-3.0, -4.0]]),
        ("lasttoken", [[3.0, -2.0], [-3.0, -4.0]]),
    ],
)
def test_pooling_by_hand_sees_no_padding(pooling, expected):
    assert pool(TOKENS, MASK, TextRecipe(pooling)).tolist() == expected


def test_normalised_vector_has_length_one():
    vectors = pool(TOKENS, MASK, TextRecipe("cls", normalize=True))
    torch.testing.assert_close(vectors[1], torch.tensor([-0.6, -0.8]))


def write_modules(folder, steps, pooling=None):
    modules = [{"type": f"sentence_transformers.models.{s}", "path": s} for s in steps]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "Pooling").mkdir(exist_ok=True)
    (folder / "Pooling" / "config.json").write_text(json.dumps(pooling or {}))


def test_folder_without_modules_means_mean(tmp_path):
    assert read_recipe(tmp_path) == TextRecipe("mean", False, None)
    assert read_recipe(None) == TextRecipe()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, "lasttoken"),
        ({"pooling_mode": "max"}, "max"),
        ({}, "mean"),
    ],
)
def test_old_and_new_spelling_of_pooling(tmp_path, config, expected):
    write_modules(tmp_path, ["Transformer", "Pooling", "Normalize"], config)
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 77}')
    assert read_recipe(tmp_path) == TextRecipe(expected, True, 77)


def test_what_is_not_built_in_is_refused_not_ignored(tmp_path):
    write_modules(tmp_path, ["Transformer", "Pooling", "Dense"])
    with pytest.raises(ConfigError, match="step 'Dense', which is not built in"):
        read_recipe(tmp_path)
    for config in (
        {"pooling_mode_weightedmean_tokens": True},
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
        {"pooling_mode": ["cls", "mean"]},
    ):
        write_modules(tmp_path, ["Transformer", "Pooling"], config)
        with pytest.raises(ConfigError, match=r"asks for the pooling.*Supported is one of: mean"):
            read_recipe(tmp_path)
    (tmp_path / "modules.json").write_text("{")
    with pytest.raises(ArtifactError, match="not valid JSON"):
        read_recipe(tmp_path)
