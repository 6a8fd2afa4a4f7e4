"""A table of numbers with groups of rows and blocks of columns: text, Markdown, LaTeX, HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

_MARKS = {0: " ", 1: "*", 2: "~"}


@dataclass(frozen=True)
class Cell:
    """One number.

    Attributes:
        text: As it is printed; "-" where there is none.
        place: 1 for the best of its column, 2 for the second best, else 0.
    """

    text: str
    place: Literal[0, 1, 2] = 0


@dataclass(frozen=True)
class Block:
    """Columns that belong together.

    Attributes:
        title: Above the columns; may be empty.
        columns: Their headings.
        words: Whether the cells are words, which start at the left, and not numbers.
    """

    title: str
    columns: tuple[str, ...]
    words: bool = False


@dataclass(frozen=True)
class Line:
    """One row.

    Attributes:
        label: In the first column.
        cells: Of all blocks, in order.
        group: Heading above the first of neighbouring rows that share it; may be empty.
    """

    label: str
    cells: tuple[Cell, ...]
    group: str = ""


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        corner: Heading of the first column.
        blocks: Of columns.
        lines: Its rows.
    """

    corner: str
    blocks: tuple[Block, ...]
    lines: tuple[Line, ...]

    def to_text(self) -> str:
        """Returns the table for a terminal; "*" marks the best, "~" the second best.

        >>> cells = (Cell("0.50", 1), Cell("0.47"))
        >>> table = Grid("model", (Block("ours", ("NDCG",)), Block("paper", ("NDCG",))),
        ...              (Line("SASRec", cells),))
        >>> print(table.to_text())
                 ours    paper
        model   NDCG      NDCG
        ----------------------
        SASRec  0.50*     0.47
        """
        labels = [f"  {line.label}" if line.group else line.label for line in self.lines]
        left = max(len(text) for text in (self.corner, *labels))
        marked = self._marked()
        rows = [
            [
                cell.text + _MARKS[cell.place] * mark
                for cell, mark in zip(line.cells, marked, strict=True)
            ]
            for line in self.lines
        ]
        headings = [
            heading + " " * mark for heading, mark in zip(self._headings(), marked, strict=True)
        ]
        widths = self._widths([headings, *rows])
        lines = [self._text_line(self.corner.ljust(left), headings, widths)]
        if any(block.title for block in self.blocks):
            lines.insert(0, self._titles(left, widths))
        lines.append("-" * (left + sum(widths) + 2 * len(widths) + 2 * (len(self.blocks) - 1)))
        group = ""
        for line, label, row in zip(self.lines, labels, rows, strict=True):
            if line.group and line.group != group:
                lines.append(line.group)
            group = line.group
            lines.append(self._text_line(label.ljust(left), row, widths))
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """Returns the table in Markdown; the best is bold, the second best in italics."""
        headings = [
            f"{heading}<br>{block.title}" if block.title else heading
            for block in self.blocks
            for heading in block.columns
        ]
        sides = ["---" if block.words else "--:" for block in self.blocks for _ in block.columns]
        lines = [_row([self.corner, *headings]), _row(["---", *sides])]
        group = ""
        for line in self.lines:
            if line.group and line.group != group:
                lines.append(_row([f"**{_escape(line.group)}**", *([""] * len(headings))]))
            group = line.group
            lines.append(_row([_escape(line.label), *map(_markdown, line.cells)]))
        return "\n".join(lines)

    def to_latex(self) -> str:
        r"""Returns the table for LaTeX with booktabs; the best is bold, the second underlined.

        >>> line = Line("R&D", (Cell("0.50", 1),))
        >>> print(Grid("model", (Block("ours", ("NDCG",)),), (line,)).to_latex())
        \begin{tabular}{lr}
        \toprule
         & \multicolumn{1}{c}{ours} \\
        \cmidrule(lr){2-2}
        model & NDCG \\
        \midrule
        R\&D & \textbf{0.50} \\
        \bottomrule
        \end{tabular}
        """
        n = len(self._headings())
        sides = "".join(("l" if block.words else "r") * len(block.columns) for block in self.blocks)
        lines = [rf"\begin{{tabular}}{{l{sides}}}", r"\toprule", *self._latex_titles()]
        lines += [_latex_row([self.corner, *self._headings()]), r"\midrule"]
        group = ""
        for line in self.lines:
            if line.group and line.group != group:
                heading = rf"\emph{{{latex_text(line.group)}}}"
                lines.append(rf"\multicolumn{{{n + 1}}}{{l}}{{{heading}}} \\")
            group = line.group
            cells = " & ".join(map(_latex_cell, line.cells))
            indent = r"\quad " if line.group else ""
            lines.append(rf"{indent}{latex_text(line.label)} & {cells} \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])

    def to_html(self, caption: str) -> str:
        """Returns the table for a web page; the best is bold, the second best underlined.

        Words are escaped. Blocks and groups are said to those who listen to the page.

        Args:
            caption: What the table shows, for those who do not see it.

        >>> line = Line("R&D", (Cell("0.50", 1),))
        >>> print(Grid("model", (Block("", ("NDCG",)),), (line,)).to_html("Means"))
        <table class="ranked">
        <caption class="hidden">Means</caption>
        <thead>
        <tr><th scope="col">model</th><th scope="col" class="number first">NDCG</th></tr>
        </thead>
        <tbody>
        <tr><th scope="row">R&amp;D</th><td class="number first"><b>0.50</b></td></tr>
        </tbody>
        </table>
        """
        kinds = [
            ("words" if block.words else "number") + ("" if i else " first")
            for block in self.blocks
            for i in range(len(block.columns))
        ]
        headings = "".join(
            f'<th scope="col" class="{kind}">{escape(heading)}</th>'
            for kind, heading in zip(kinds, self._headings(), strict=True)
        )
        lines = ['<table class="ranked">', f'<caption class="hidden">{escape(caption)}</caption>']
        lines += ["<thead>", *self._html_titles()]
        lines += [f'<tr><th scope="col">{escape(self.corner)}</th>{headings}</tr>', "</thead>"]
        for i, line in enumerate(self.lines):
            if i == 0 or line.group != self.lines[i - 1].group:
                lines += ["</tbody>"] * bool(i) + ["<tbody>", *_html_group(line, len(kinds))]
            cells = "".join(map(_html_cell, line.cells, kinds))
            lines.append(f'<tr><th scope="row">{escape(line.label)}</th>{cells}</tr>')
        return "\n".join([*lines, *["</tbody>"] * bool(self.lines), "</table>"])

    def _html_titles(self) -> list[str]:
        if not any(block.title for block in self.blocks):
            return []
        titles = "".join(
            f'<th scope="colgroup" colspan="{len(block.columns)}">'
            f"<span>{escape(block.title)}</span></th>"
            if block.title
            else f'<td colspan="{len(block.columns)}"></td>'
            for block in self.blocks
        )
        return [f'<tr class="titles"><td></td>{titles}</tr>']

    def _latex_titles(self) -> list[str]:
        if not any(block.title for block in self.blocks):
            return []
        titles, rules, start = "", "", 2
        for block in self.blocks:
            n = len(block.columns)
            titles += rf" & \multicolumn{{{n}}}{{c}}{{{latex_text(block.title)}}}"
            if block.title:
                rules += rf"\cmidrule(lr){{{start}-{start + n - 1}}}"
            start += n
        return [titles + r" \\", rules]

    def _headings(self) -> list[str]:
        return [heading for block in self.blocks for heading in block.columns]

    def _marked(self) -> list[bool]:
        """Whether anything in a column is marked, which takes a place beside every number."""
        n = len(self._headings())
        return [any(line.cells[i].place for line in self.lines) for i in range(n)]

    def _widths(self, rows: Sequence[Sequence[str]]) -> list[int]:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        start = 0
        for block in self.blocks:  # a title that is wider than its columns widens the first
            span = sum(widths[start : start + len(block.columns)]) + 2 * (len(block.columns) - 1)
            widths[start] += max(0, len(block.title) - span)
            start += len(block.columns)
        return widths

    def _titles(self, left: int, widths: Sequence[int]) -> str:
        text, start = " " * left, 0
        for number, block in enumerate(self.blocks):
            stop = start + len(block.columns)
            span = sum(widths[start:stop]) + 2 * (len(block.columns) - 1)
            text += " " * _gap(number) + block.title.center(span)
            start = stop
        return text.rstrip()

    def _text_line(self, label: str, cells: Sequence[str], widths: Sequence[int]) -> str:
        text, place = label, 0
        for number, block in enumerate(self.blocks):
            for i in range(len(block.columns)):
                cell, width = cells[place], widths[place]
                gap = " " * (2 if i else _gap(number))
                text += gap + (cell.ljust(width) if block.words else cell.rjust(width))
                place += 1
        return text.rstrip()


def _gap(block: int) -> int:
    return 4 if block else 2


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown(cell: Cell) -> str:
    around = {0: "", 1: "**", 2: "_"}[cell.place]
    return f"{around}{_escape(cell.text)}{around}"


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


_LATEX = str.maketrans({sign: f"\\{sign}" for sign in "&%$#_{}"})
_LATEX_WORDS = str.maketrans({"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"})


def latex_text(text: str) -> str:
    """Returns words with the signs escaped that LaTeX reads as commands."""
    return text.replace("\\", "/").translate(_LATEX).translate(_LATEX_WORDS)


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"


def _latex_cell(cell: Cell) -> str:
    text = latex_text(cell.text)
    return {0: text, 1: rf"\textbf{{{text}}}", 2: rf"\underline{{{text}}}"}[cell.place]


def _html_group(line: Line, n_columns: int) -> list[str]:
    if not line.group:
        return []
    span = f'scope="rowgroup" colspan="{n_columns + 1}"'
    return [f'<tr class="group"><th {span}><span>{escape(line.group)}</span></th></tr>']


def _html_cell(cell: Cell, kind: str) -> str:
    tag = {0: "", 1: "b", 2: "u"}[cell.place]
    text = f"<{tag}>{escape(cell.text)}</{tag}>" if tag else escape(cell.text)
    return f'<td class="{kind}">{text}</td>'
