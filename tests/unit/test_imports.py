"""Importing costs nothing, works for every module, and no code of ours seeds the world."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vlmrec

SOURCE = Path(vlmrec.__file__).parent
SCRIPTS = {"vlmrec.serve.store.migrations.env"}
"""Alembic runs these where it finds them; nobody imports them."""
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(vlmrec.__path__, prefix="vlmrec.")
    if module.name not in SCRIPTS
)
HEAVY = ("torch", "transformers", "polars", "pyarrow", "pandas", "accelerate", "numpy", "PIL")
GLOBAL_STATE = re.compile(
    r"torch\.(manual_seed|cuda\.manual_seed|seed)\(|np\.random\.(seed|rand|randn|randint|choice|"
    r"shuffle|permutation)\(|numpy\.random\.seed|(?<![\w.])random\.(seed|random|choice|shuffle|"
    r"randint|sample)\("
)


def test_there_are_modules():
    assert len(MODULES) > 60


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_and_its_examples_hold(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_some_examples_were_found():
    tests = [
        test
        for name in MODULES
        for test in doctest.DocTestFinder().find(importlib.import_module(name))
        if test.examples
    ]
    assert len(tests) >= 5


@pytest.mark.parametrize("statement", ["import vlmrec", "import vlmrec.cli.main"])
def test_importing_the_package_loads_nothing_heavy(statement):
    heavy = f"print(sorted(set(sys.modules) & {set(HEAVY)!r}))"
    code = f"import sys; {statement}; {heavy}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_every_name_of_the_front_door_is_there():
    for name in vlmrec.__all__:
        assert getattr(vlmrec, name).__name__ == name
    assert dir(vlmrec) == sorted(vlmrec.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Datset'"):
        _ = vlmrec.Datset


@pytest.mark.parametrize("first", ["from vlmrec import evaluate", "import vlmrec.pipeline.fitting"])
def test_the_verb_evaluate_stays_a_function_whatever_was_imported_before(first):
    code = f"{first}; from vlmrec import fit, evaluate; import vlmrec.evaluation.ranking as r; " + (
        "evaluate(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert "missing 1 required positional argument: 'cases'" in done.stderr


def test_no_code_touches_a_global_random_state():
    guilty = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in SOURCE.rglob("*.py")
        if path != SOURCE / "vlm" / "seeding.py"  # for libraries that know nothing else
        for line in path.read_text(encoding="utf-8").splitlines()
        if GLOBAL_STATE.search(line)
    ]
    assert guilty == []


def test_the_rule_against_global_state_can_fail():
    for line in ("torch.manual_seed(0)", "np.random.seed(1)", "random.shuffle(x)"):
        assert GLOBAL_STATE.search(line)
    assert not GLOBAL_STATE.search("rng.choice(3)")
    assert not GLOBAL_STATE.search("torch.Generator(device).manual_seed(seed)")


def test_files_stay_short():
    long = {
        str(path.relative_to(SOURCE)): n
        for path in SOURCE.rglob("*.py")
        if (n := len(path.read_text(encoding="utf-8").splitlines())) > 500
    }
    assert long == {}
