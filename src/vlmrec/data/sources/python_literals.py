"""Lines that hold a Python dict as it prints itself, parsed as data and never as code."""

import ast
import re
from typing import Any, cast

_NESTED = r"'(?:{names})': \{{[^{{}}]*\}}(?:, )?"


class LiteralParser:
    """Parses one dict literal a line.

    Args:
        unused: Keys whose value is a dict that nobody needs. They are cut out before parsing,
            which is several times faster where they are long.
    """

    def __init__(self, unused: tuple[str, ...] = ()) -> None:
        names = "|".join(map(re.escape, unused))
        self._unused = re.compile(_NESTED.format(names=names)) if unused else None

    def parse(self, line: str) -> dict[str, Any]:
        """Returns the dict.

        Raises:
            ValueError: The line is no dict literal; the message says what is wrong.
        """
        # Inside a string in single quotes every single quote is escaped, so the pattern cannot
        # match there; it could inside one in double quotes, so such lines are parsed whole.
        if self._unused is not None and '"' not in line:
            line = self._unused.sub("", line)
        try:
            found: object = ast.literal_eval(line)
        except SyntaxError as error:
            raise ValueError(f"{error.msg} at character {error.offset}") from None
        except TypeError:
            raise ValueError("a key that cannot be one") from None
        except (RecursionError, MemoryError):
            raise ValueError("nested too deeply") from None
        if not isinstance(found, dict):
            raise ValueError(f"a {type(found).__name__}, not a dict")
        return cast("dict[str, Any]", found)
