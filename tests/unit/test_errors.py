from vlmrec.core.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    MissingExtraError,
    NotFittedError,
    VlmrecError,
    nearest,
)


def test_a_message_is_problem_and_fix():
    error = DataError("The file 'a.csv' is empty.", "Give one with rows.")
    assert str(error) == "The file 'a.csv' is empty. Give one with rows."
    assert (error.problem, error.fix) == ("The file 'a.csv' is empty.", "Give one with rows.")
    assert str(ConfigError("Only a problem.")) == "Only a problem."


def test_every_error_of_the_user_has_one_base():
    kinds = (ArtifactError, ConfigError, DataError, MissingExtraError, NotFittedError)
    assert all(issubclass(kind, VlmrecError) for kind in kinds)


def test_a_missing_extra_names_the_command():
    error = MissingExtraError("tensorboard", "tensorboard", "Option 'tensorboard'")
    assert "Option 'tensorboard' needs the package 'tensorboard'" in error.problem
    assert error.fix == "Install it with: pip install 'vlmrec[tensorboard]'"


def test_the_nearest_name_is_offered_only_when_it_is_near():
    assert nearest("itm_id", ["user_id", "item_id"]).startswith("Did you mean 'item_id'?")
    assert nearest("zzzzzz", ["user_id", "item_id"]) == "Known: item_id, user_id."
