"""What the tests need of Markdown: pages, fenced code blocks, inline code, links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[a-z]*)(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_NOT_RUN = re.compile(r"<!-- not run: [^>]+ -->\s*$")


@dataclass(frozen=True)
class CodeBlock:
    page: Path
    line: int
    language: str
    title: str
    body: str
    is_run: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Returns every page that people read, the README first."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*top, ROOT / "recipes" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def code_blocks(page: Path) -> list[CodeBlock]:
    text = page.read_text(encoding="utf-8")
    blocks: list[CodeBlock] = []
    for found in _FENCE.finditer(text):
        title = re.search(r'title="([^"]*)"', found["info"])
        indent = found["indent"]
        lines = [line.removeprefix(indent) for line in found["body"].splitlines()]
        blocks.append(
            CodeBlock(
                page=page,
                line=text.count("\n", 0, found.start()) + 1,
                language=found["language"],
                title=title[1] if title else "",
                body="\n".join(lines) + "\n",
                is_run=_NOT_RUN.search(text[: found.start()]) is None,
            )
        )
    return blocks


def prose(page: Path) -> str:
    """Returns the page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def commands(page: Path) -> list[str]:
    """Returns every `vlmrec ...` line of shell blocks, continued lines joined, pipes cut off."""
    found: list[str] = []
    for block in code_blocks(page):
        if block.language in ("bash", "console"):
            lines = block.body.replace("\\\n", " ").splitlines()
            bare = (line.removeprefix("$ ").strip() for line in lines)
            ends = r" #| \| | > "
            found += [re.split(ends, line)[0] for line in bare if line.startswith("vlmrec ")]
    return found
