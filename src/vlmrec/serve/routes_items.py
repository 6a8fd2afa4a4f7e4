"""Routes that show, add, change and remove items; ids may hold slashes."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Path, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

from vlmrec.core.errors import DataError
from vlmrec.serve.pictures import check_picture
from vlmrec.serve.schemas import ChangeAnswer, Identifier, ItemOut
from vlmrec.serve.service import Service
from vlmrec.serve.store.records import StoredItem

_Name = Annotated[Identifier, Path(description="Item id.")]
_LONGEST_FIELD = 100_000


def items_router(service: Service) -> APIRouter:
    """Returns the routes."""
    router = APIRouter(tags=["items"])

    @router.get("/items/{item_id:path}/picture", response_class=FileResponse)
    async def get_picture(item_id: _Name) -> Response:
        """The picture of an item."""
        path = service.live.pictures.get(item_id)
        if path is None or not path.is_file():
            raise HTTPException(404, f"The item '{item_id}' has no picture.")
        return FileResponse(path)

    @router.get("/items/{item_id:path}")
    async def get_item(item_id: _Name) -> ItemOut:
        """An item as it is served now."""
        live, row = service.live, _row(service, item_id)
        facts = live.table.row(row - 1, named=True)
        fields = {name: value for name, value in facts.items() if name not in ("item_id", "image")}
        return ItemOut(
            item_id=item_id,
            fields=fields,
            has_picture=item_id in live.pictures,
            recommendable=bool(live.present[row]),
        )

    @router.put("/items/{item_id:path}")
    async def put_item(
        item_id: _Name,
        fields: Annotated[str, Form(description="JSON object: title, description, ...")] = "{}",
        picture: Annotated[UploadFile | None, File(description="JPEG, PNG, WEBP or GIF.")] = None,
    ) -> ChangeAnswer:
        """Adds an item, or gives a known one other words and another picture.

        What is given takes the place of all that was known: an item sent without a picture has
        none. It can be recommended from the next request on.
        """
        data = None if picture is None else await picture.read()
        item = await run_in_threadpool(given_item, service, item_id, fields, data)
        change = await run_in_threadpool(service.put_item, item)
        return ChangeAnswer(item_id=item_id, change=change)

    @router.delete("/items/{item_id:path}")
    async def remove_item(item_id: _Name) -> ChangeAnswer:
        """Takes an item out of all lists. It goes on to count where it stands in histories."""
        _row(service, item_id)
        change = await run_in_threadpool(service.remove_item, item_id)
        return ChangeAnswer(item_id=item_id, change=change)

    return router


def _row(service: Service, item_id: str) -> int:
    row = service.live.rows.get(item_id)
    if row is None:
        raise HTTPException(404, f"There is no item '{item_id}'.")
    return row


def given_item(service: Service, item_id: str, fields: str, picture: bytes | None) -> StoredItem:
    """Returns the item of a request, its picture looked at.

    Raises:
        DataError: The fields are no JSON object, or the picture is none.
        HTTPException: The picture is too large.
    """
    if len(fields) > _LONGEST_FIELD:
        raise DataError(f"'fields' has {len(fields):,} characters; at most {_LONGEST_FIELD:,}.")
    try:
        found: Any = json.loads(fields)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or "\\u0000" in json.dumps(found):
        raise DataError(
            "'fields' is no JSON object of text.", 'Send an object such as {"title": "Red cup"}.'
        )
    if picture is not None:
        if len(picture) > service.options.picture_bytes:
            raise HTTPException(
                413, f"The picture is too large: at most {service.options.picture_bytes:,} bytes."
            )
        check_picture(picture, service.options.picture_pixels)
    return StoredItem(item_id, found, picture)
