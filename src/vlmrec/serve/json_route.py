"""Routes of one JSON body, which is read without detours."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

_JSON = "application/json"


class JsonRoute(APIRoute):
    """A route whose endpoint takes one body and nothing else, and gives a `Response`.

    FastAPI makes Python objects of the JSON, then looks for dependencies, then has pydantic make
    the body of the objects: half of what such a request costs besides its answer. Here pydantic
    reads the bytes. Whatever it does not take goes to FastAPI, which knows what to say of it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Returns what answers requests.

        Raises:
            TypeError: The endpoint takes something else.
        """
        by_fastapi, endpoint = super().get_route_handler(), self.endpoint
        taken = [one.annotation for one in inspect.signature(endpoint).parameters.values()]
        if len(taken) != 1 or not issubclass(taken[0], BaseModel):
            raise TypeError(f"'{self.path}' takes {taken}; a JsonRoute takes one body.")
        body: type[BaseModel] = taken[0]

        async def answer(request: Request) -> Response:
            if request.headers.get("content-type", "").partition(";")[0] != _JSON:
                return await by_fastapi(request)
            given = await request.body()
            try:
                asked = body.model_validate_json(given)
            except ValidationError:
                return await by_fastapi(request)
            return await endpoint(asked)

        return answer
