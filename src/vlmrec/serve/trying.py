"""What a product would be among the others, before anybody decides to sell it."""

import tempfile
from dataclasses import replace
from pathlib import Path

from vlmrec.serve.changing import with_changes
from vlmrec.serve.live import Live
from vlmrec.serve.store.records import StoredItem


def with_trial(live: Live, item: StoredItem) -> tuple[Live, str]:
    """Returns what would be served with a product, and its id there; nothing is stored.

    Args:
        live: What is served.
        item: The product; its id is not looked at.

    Raises:
        DataError: A field is not one of the catalogue, or there is nothing to read.
        ConfigError: The model cannot take new items in.
    """
    name = "tried"
    while name in live.rows:
        name += "'"
    aside = replace(live, placing=live.placing.aside())
    with tempfile.TemporaryDirectory(prefix="vlmrec-tried-") as folder:
        return with_changes(aside, [replace(item, item_id=name)], Path(folder)), name
