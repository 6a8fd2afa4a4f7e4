"""Pages name only what exists: files, verbs, options, make targets; and none is forgotten."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.docs.markdown_pages import ROOT, code_blocks, commands, inline_code, links, pages

from vlmrec.cli.main import build_app
from vlmrec.cli.train import divide_options
from vlmrec.core.config import parse_assignments
from vlmrec.models import MODELS, model_class
from vlmrec.train.options import TrainOptions

PAGES = pages()
CLI: Any = typer.main.get_command(build_app())
HEADINGS = re.compile(r"^#+ (.+)$", re.MULTILINE)
LAUNCHERS = {"--nproc_per_node", "--num_processes", "--cpu"}  # of torchrun and accelerate


def leaf_verbs(command: Any = CLI, path: str = "") -> dict[str, Any]:
    nested = getattr(command, "commands", None)
    if nested is None:
        return {path: command}
    found: dict[str, Any] = {}
    for name, one in nested.items():
        found |= leaf_verbs(one, f"{path} {name}".strip())
    return found


VERBS = leaf_verbs()
OPTIONS = {
    name
    for verb in VERBS.values()
    for one in verb.params
    for name in (*one.opts, *one.secondary_opts)
}
OPTIONS |= {"--help", "--version"}
ALL_COMMANDS = [(page, line) for page in PAGES for line in commands(page)]


def on(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_pages_are_found():
    assert len(PAGES) > 20
    assert len(ALL_COMMANDS) > 30
    assert {"prepare files", "train", "add-items"} <= set(VERBS)


@pytest.mark.parametrize("page", PAGES, ids=on)
def test_links_lead_somewhere(page: Path):
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.is_file(), f"{on(page)} links to {link}"
        assert file == ROOT / "LICENSE" or file in PAGES
        if anchor:
            slugs = {
                re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-")
                for title in HEADINGS.findall(file.read_text(encoding="utf-8"))
            }
            assert anchor in slugs, f"{on(page)} links to {link}"


@pytest.mark.parametrize(("page", "line"), ALL_COMMANDS, ids=lambda one: getattr(one, "name", one))
def test_commands_are_understood(page: Path, line: str):
    words = shlex.split(line)[1:]
    if words == ["--version"]:
        return
    verb = next((path for path in VERBS if words[: len(path.split())] == path.split()), None)
    assert verb is not None, f"{on(page)}: no such verb in '{line}'"
    command = VERBS[verb]
    context = command.make_context(verb, words[len(verb.split()) :], resilient_parsing=False)
    values = context.params
    if verb == "train":
        assignments = parse_assignments(values["settings"] or [])
        divide_options(model_class(values["model"]), assignments)
    if values.get("config") and str(values["config"]).startswith("recipes/"):
        assert (ROOT / values["config"]).is_file()


@pytest.mark.parametrize("page", PAGES, ids=on)
def test_inline_names_exist(page: Path):
    for code in inline_code(page):
        if code.startswith("vlmrec "):
            words = code.split()[1:]
            known = any(
                path.split()[: len(words[:2])] == words[: len(path.split())][:2] for path in VERBS
            ) or words[0] in ("VERB", "--version", "prepare", *(p.split()[0] for p in VERBS))
            assert known, f"{on(page)}: `{code}`"
        if code.startswith("python -m benchmarks"):
            continue  # scripts with options of their own
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", code):
            assert option in OPTIONS | LAUNCHERS, f"{on(page)}: `{code}`"
        if code.startswith("make "):
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert set(code.split()[1:]) <= set(targets), f"{on(page)}: `{code}`"


@pytest.mark.parametrize("page", PAGES, ids=on)
def test_option_files_hold_known_options(page: Path):
    for block in code_blocks(page):
        if block.language == "yaml" and not block.title.startswith("recipes/"):
            given = yaml.safe_load(block.body)
            spec, training = divide_options(MODELS["sasrec"], given)
            assert set(given) == spec.model_fields_set | training.model_fields_set


def test_every_verb_is_in_the_readme():
    table = (ROOT / "README.md").read_text(encoding="utf-8")
    for verb in VERBS:
        assert f"| `vlmrec {verb}` |" in table


def test_options_and_columns_of_the_conventions_exist():
    named = set(inline_code(ROOT / "docs" / "reference" / "conventions.md"))
    fields = set(TrainOptions.model_fields)
    fields.update(*(spec.model_fields for spec in MODELS.values()))
    for option in ("dim", "n_layers", "n_heads", "max_len", "dropout", "learning_rate", "epochs"):
        assert option in named
        assert option in fields


def test_every_page_is_in_the_navigation():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    def files(part: Any) -> list[str]:
        if isinstance(part, str):
            return [part]
        inside = part if isinstance(part, list) else part.values()
        return [file for one in inside for file in files(one)]

    docs = {
        str(page.relative_to(ROOT / "docs")) for page in PAGES if (ROOT / "docs") in page.parents
    }
    assert set(files(site["nav"])) == docs


def test_the_generated_reference_names_everything(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "hooks"))
    import generated_reference

    requests = [f"<!-- generated: {name} -->" for name in generated_reference.WRITERS]
    text = generated_reference.on_page_markdown("\n".join(requests), page=None)
    assert "<!--" not in text
    for verb, command in VERBS.items():
        assert f"## vlmrec {verb}\n" in text
        for one in command.params:
            if one.param_type_name == "option":
                assert f"`{one.opts[0]}`" in text
    for name, spec in MODELS.items():
        assert f"### {name}\n" in text
        assert all(f"| `{field}` |" in text for field in spec.model_fields)
    assert "`cold-user` `cold-user-by-time` `half-catalogue` | `leave-one-out` |" in text
    assert "| `use_ids` | `false` |" in text
    assert "| `weight_decay` | `0.0` |" in text
    del sys.modules["generated_reference"]


def test_the_python_reference_shows_every_model_with_every_option():
    text = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
    for spec in MODELS.values():
        name = f"::: {spec.__module__}.{spec.__name__}\n"
        assert name in text, name
        shown = text.split(name)[1].split("\n:::")[0]
        if "  members: false" in shown:
            assert not spec.model_fields, name
            continue
        members = re.search(r"members: \[(.*)\]", shown)
        assert members is not None, name
        assert set(spec.model_fields) <= set(members.group(1).split(", ")), name
