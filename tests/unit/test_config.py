import json

import pytest

from vlmrec.cli.train import divide_options
from vlmrec.core.config import merge, parse_assignments, read_config_file
from vlmrec.core.errors import ConfigError
from vlmrec.models import MODELS, Mirm, Molar, SASRec, SASRecContent, VLM2Rec
from vlmrec.pipeline.aligning import AlignOptions
from vlmrec.pipeline.estimating import EstimateOptions
from vlmrec.scoring import ScoringConfig
from vlmrec.train.options import TrainOptions

NEEDED = {
    "molar": {"mirm": "runs/mirm"},
    "collm": {"cf": "runs/sasrec"},
    "ensemble": {"runs": ["runs/a", "runs/b"]},
}


@pytest.mark.parametrize("kind", MODELS.values())
def test_a_specification_survives_json(kind):
    spec = kind.parse(NEEDED.get(kind.name, {}), "a test")
    assert kind.parse(json.loads(spec.model_dump_json()), "a test") == spec


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(ConfigError, match=r"Unknown option 'dims' for a test\. Did you mean 'dim'"):
        SASRec.parse({"dims": 3}, "a test")


def test_an_unknown_nested_option_names_the_nearest():
    values = {"objective": {"kind": "bce", "n_negativs": 3}}
    with pytest.raises(ConfigError, match=r"'objective\.n_negativs'.*Did you mean 'n_negatives'"):
        SASRec.parse(values, "a test")
    with pytest.raises(ConfigError, match=r"'scoring\.temprature'.*Did you mean 'temperature'"):
        SASRec.parse({"scoring": {"temprature": 1}}, "a test")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dim": "wide"}, r"Option 'dim' for a test was given 'wide': .*valid integer"),
        ({"dim": 0}, r"Option 'dim' for a test was given 0: .*greater than or equal to 1"),
        ({"dropout": 1.0}, r"Option 'dropout' .* less than 1"),
        (
            {"objective": {"kind": "hinge"}},
            r"'cross-entropy', 'sampled-softmax', 'gbce', 'bce', 'bpr'",
        ),
        ({"norm": "middle"}, r"'post' or 'pre'"),
    ],
)
def test_a_wrong_value_says_what_was_expected(values, message):
    with pytest.raises(ConfigError, match=message):
        SASRec.parse(values, "a test")


def test_nested_options_are_laid_over_the_default_of_their_option():
    given = {"scoring": {"temperature": 0.05}, "alignment": {"teacher": "runs/sasrec"}}
    spec = Molar.parse({"mirm": "runs/mirm", **given}, "a test")
    assert spec.scoring == ScoringConfig(kind="cosine", temperature=0.05, learnable=True)
    assert VLM2Rec.parse({"tuning": {"rank": 4}}, "a test").tuning.kind == "lora"
    assert AlignOptions.parse({"train": {"epochs": 2}}, "a test").train.batch_size == 128
    tasks = Mirm.parse({"tasks": {"behaviour": {"n_examples": 3}}}, "a test").tasks
    assert (tasks.behaviour.n_examples, tasks.behaviour.weight) == (3, 1.0)
    molar = Molar.parse({"mirm": "runs/mirm", "objective": {"n_negatives": 3}}, "a test")
    assert (molar.objective.kind, molar.objective.n_negatives) == ("bce", 3)
    tuning = EstimateOptions.parse({"tuning": {"rank": 3}}, "a test").tuning
    assert tuning.model_fields_set == {"rank"}


def test_another_kind_starts_from_its_own_defaults():
    spec = Molar.parse({"mirm": "runs/mirm", "scoring": {"kind": "dot"}}, "a test")
    assert spec.scoring == ScoringConfig()
    assert SASRec.parse({"objective": {"kind": "bce"}}, "a test").objective.n_negatives == 1


def test_a_rule_over_several_options_speaks_plainly():
    with pytest.raises(ConfigError, match="text and image are both off; at least one is needed"):
        SASRecContent.parse({"text": None, "image": None}, "a test")


def test_configurations_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        SASRec().dim = 3


def test_assignments_read_values_as_they_look():
    given = ["dim=32", "text=null", "use_ids=true", "dropout=.5", "objective.kind=bce", "name=a=b"]
    assert parse_assignments([*given, "objective.n_negatives=4"]) == {
        "dim": 32,
        "text": None,
        "use_ids": True,
        "dropout": 0.5,
        "objective": {"kind": "bce", "n_negatives": 4},
        "name": "a=b",
    }


@pytest.mark.parametrize("wrong", ["dim", "=3", ""])
def test_an_assignment_needs_a_key_and_a_value(wrong):
    with pytest.raises(ConfigError, match="is not of the form key=value"):
        parse_assignments([wrong])


def test_an_assignment_cannot_nest_below_a_value():
    with pytest.raises(ConfigError, match="nests below the plain value 'a'"):
        parse_assignments(["a=1", "a.b=2"])


def test_small_numbers_with_exponents_are_numbers():
    options = TrainOptions.parse(parse_assignments(["learning_rate=1e-3"]), "a test")
    assert options.learning_rate == 1e-3


def test_merging_keeps_both_inputs():
    base, over = {"a": {"b": 1, "c": 2}}, {"a": {"c": 3}, "d": None}
    assert merge(base, over) == {"a": {"b": 1, "c": 3}, "d": None}
    assert base == {"a": {"b": 1, "c": 2}}


def test_a_config_file_is_yaml_or_json(tmp_path):
    for name, text in (("c.yaml", "dim: 8\n"), ("c.json", '{"dim": 8}')):
        (tmp_path / name).write_text(text)
        assert read_config_file(tmp_path / name) == {"dim": 8}
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_config_file(tmp_path / "empty.yaml") == {}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.yaml", b"- 1\n- 2\n", "holds a list"),
        ("c.json", b"{", "cannot be parsed"),
        ("c.yaml", b"a: [", "cannot be parsed"),
        ("c.yaml", b"\xff\xfe\x00", "not UTF-8 text"),
    ],
)
def test_a_bad_config_file_is_said(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_config_file(tmp_path / name)


def test_a_missing_config_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_config_file(tmp_path / "none.yaml")


def test_options_go_to_the_model_or_to_training():
    spec, options = divide_options(SASRec, {"dim": 8, "epochs": 3})
    assert (spec.model_dump()["dim"], options.epochs) == (8, 3)
    with pytest.raises(ConfigError, match=r"Unknown option 'epoch' .*Did you mean 'epochs'"):
        divide_options(SASRec, {"epoch": 3})
    with pytest.raises(ConfigError, match=r"Unknown option 'dim' for model 'popularity'"):
        divide_options(MODELS["popularity"], {"dim": 3})
