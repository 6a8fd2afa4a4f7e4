"""One JSON object out of one line of text, or what is wrong with that line."""

import json
from typing import Any, cast


def parse_object(line: str | bytes) -> dict[str, Any]:
    """Returns the object that a line holds; a byte order mark before it is passed over.

    Raises:
        ValueError: What the line is instead, to be read behind "Line 3 is ...".
    """
    try:
        text = line.decode() if isinstance(line, bytes) else line
        value: object = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise ValueError(f"broken JSON ({error.msg} at character {error.pos + 1})") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"a JSON {type(value).__name__}, not an object")
    return cast("dict[str, Any]", value)
