"""Asking a served shop as a client does."""

import io
import json

from PIL import Image

N = 30
"""Items of the shop that tests serve, see the fixtures in tests/integration."""


def picture(colour=(200, 30, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", (48, 48), colour).save(buffer, "PNG")
    return buffer.getvalue()


def listed(answer):
    assert answer.status_code == 200, answer.text
    return [one["item_id"] for one in answer.json()["items"]]


def ask(client, **given):
    return listed(client.post("/recommend", json=given))


def put(client, name, fields, **files):
    return client.put(f"/items/{name}", data={"fields": json.dumps(fields)}, files=files or None)
