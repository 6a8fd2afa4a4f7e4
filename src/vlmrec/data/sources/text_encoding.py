"""Which bytes a text file is made of: one streaming pass finds encoding, quotes and damage."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np

from vlmrec.core.errors import DataError

_CHUNK = 1 << 22
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class TextFacts:
    """What has to be known of a text file before it is read.

    Attributes:
        encoding: A Python codec name.
        compressed: Whether it is gzip.
        quoted: Whether a double quote occurs.
        reason: Why this encoding, empty for plain UTF-8.
    """

    encoding: str
    compressed: bool
    quoted: bool
    reason: str = ""

    @property
    def plain(self) -> bool:
        """Whether the file's own bytes are UTF-8 (a byte order mark does no harm)."""
        return not self.compressed and self.encoding in ("utf-8", "utf-8-sig")


@dataclass
class _Census:
    """What a pass over the bytes counted."""

    quoted: bool = False
    well_formed: int = 0
    first_bad: int | None = None
    bad: int = 0
    c1_controls: bool = False


def is_gzip(path: Path) -> bool:
    """Returns whether a file starts like gzip."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def open_bytes(path: Path) -> IO[bytes]:
    """Returns the file's bytes, unpacked where it is gzip."""
    opened = gzip.open(path, "rb") if is_gzip(path) else path.open("rb")
    return cast("IO[bytes]", opened)


def open_text(path: Path, encoding: str) -> io.TextIOWrapper:
    """Returns the file as text with its line ends as they are."""
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, newline="")


def chunks(path: Path) -> Iterator[bytes]:
    """Yields the file's bytes, unpacked, a few megabytes at a time.

    Raises:
        DataError: The file is gzip and damaged.
    """
    try:
        with open_bytes(path) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"'{path}' is a damaged gzip file: {error}.", "Fetch or pack it again."
        ) from None


def whole_lines(path: Path) -> Iterator[bytes]:
    """Yields blocks of whole lines, unpacked; the last one ends in a line end, too."""
    rest = b""
    for chunk in chunks(path):
        head, end, tail = chunk.rpartition(b"\n")
        if end:
            yield rest + head + end
            rest = tail
        else:
            rest += tail
    if rest:
        yield rest + b"\n"


def examine(path: Path, encoding: str | None = None) -> TextFacts:
    """Returns the facts of a text file.

    Args:
        path: The file, plain or gzip.
        encoding: Read it as this and complain where that fails; default: a byte order mark
            decides, else UTF-8, else Windows-1252 / Latin-1.

    Raises:
        DataError: It is empty, not text, or damaged text (with line and byte).
    """
    stream = chunks(path)
    head = next(stream, b"")
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        raise DataError(f"'{path}' is empty.", "A header and at least one row are expected.")
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    wanted = encoding or marked
    compressed = is_gzip(path)
    if wanted is not None and codecs.lookup(wanted).name not in ("utf-8", "utf-8-sig"):
        _check_decodes(path, wanted)
        return TextFacts(wanted, compressed, quoted=True, reason=_reason(encoding))
    census = _take_census(path)
    if census.first_bad is None:
        return TextFacts(
            wanted or "utf-8", compressed, census.quoted, _reason(encoding) if wanted else ""
        )
    # A few bad bytes among well-formed multi-byte characters are damage, not another encoding.
    if wanted is not None or census.well_formed > census.bad:
        raise _undecodable(path, census.first_bad, wanted or "utf-8")
    guessed = "cp1252" if census.c1_controls else "latin-1"
    if guessed == "cp1252":
        _check_decodes(path, guessed)
    line, _ = _place(path, census.first_bad)
    reason = f"line {line} is not UTF-8; --encoding overrides this"
    return TextFacts(guessed, compressed, census.quoted, reason)


def _reason(encoding: str | None) -> str:
    return "as asked" if encoding else "by its byte order mark"


def _take_census(path: Path) -> _Census:
    census = _Census()
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    offset = 0
    for chunk in chunks(path):
        zero = chunk.find(b"\0")
        if zero >= 0:
            raise DataError(
                f"'{path}' is not a text file: byte {offset + zero:,} is zero.",
                "CSV, TSV, JSON Lines or Parquet is expected.",
            )
        census.quoted = census.quoted or b'"' in chunk
        held = len(decoder.getstate()[0])
        text = decoder.decode(chunk)
        if held or not chunk.isascii():
            _count_beyond_ascii(text, offset - held, census)
        offset += len(chunk)
    rest = decoder.decode(b"", final=True)
    _count_beyond_ascii(rest, offset - len(rest), census)
    return census


def _count_beyond_ascii(text: str, offset: int, census: _Census) -> None:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    bad = (codes >= 0xDC80) & (codes <= 0xDCFF)  # how surrogateescape marks a stray byte
    census.well_formed += int(((codes > 127) & ~bad).sum())
    if not bad.any():
        return
    if census.first_bad is None:
        before = text[: int(bad.argmax())]
        census.first_bad = offset + len(before.encode("utf-8", "surrogateescape"))
    census.bad += int(bad.sum())
    census.c1_controls = census.c1_controls or bool((codes[bad] < 0xDCA0).any())


def _check_decodes(path: Path, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    offset = 0
    try:
        for chunk in chunks(path):
            held = len(decoder.getstate()[0])
            offset -= held
            decoder.decode(chunk)
            offset += held + len(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _undecodable(path, offset + error.start, encoding) from None


def _undecodable(path: Path, offset: int, encoding: str) -> DataError:
    line, byte = _place(path, offset)
    return DataError(
        f"Line {line} of '{path}' cannot be read as {encoding}: byte {offset:,} of the file is "
        f"0x{byte:02x}.",
        "Mend that line, or name the right encoding with --encoding (latin-1 reads any byte).",
    )


def _place(path: Path, offset: int) -> tuple[int, int]:
    """Returns the line number of a byte, and the byte."""
    line, start = 1, 0
    for chunk in chunks(path):
        if start + len(chunk) > offset:
            return line + chunk[: offset - start].count(b"\n"), chunk[offset - start]
        line += chunk.count(b"\n")
        start += len(chunk)
    return line, 0
