"""The HTTP application: routes, who may use them, and what errors look like."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from vlmrec.core.errors import ArtifactError, VlmrecError
from vlmrec.serve.batching import OverloadedError
from vlmrec.serve.guard import DOCS_SCRIPTS, Guard
from vlmrec.serve.keys import Keys
from vlmrec.serve.routes_browsing import browsing_router
from vlmrec.serve.routes_events import events_router
from vlmrec.serve.routes_items import items_router
from vlmrec.serve.routes_lists import lists_router
from vlmrec.serve.routes_page import add_page
from vlmrec.serve.routes_service import service_router
from vlmrec.serve.schemas import Problem
from vlmrec.serve.service import Service
from vlmrec.serve.store.store import StoreError
from vlmrec.serve.unable import UnableError

_log = logging.getLogger("vlmrec.serve")
_UNREADABLE = "There was an error parsing the body"
"""What FastAPI says of bodies that make the reader of JSON itself fail."""
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": what}
    for status, what in (
        (400, "The body cannot be read."),
        (401, "No key, or none that is known."),
        (403, "The key may not do this."),
        (404, "There is no such thing."),
        (408, "The body does not come."),
        (413, "The body is too large."),
        (422, "What was asked makes no sense; the answer says why."),
        (429, "Too many requests of this key or address."),
        (503, "The database or the service cannot answer now."),
    )
}


def create_app(service: Service, keys: Keys | None = None) -> FastAPI:
    """Returns the application.

    Args:
        service: What it serves; closed when the application shuts down.
        keys: Who may do what; default: everybody everything.
    """

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncGenerator[None]:
        yield
        await asyncio.to_thread(service.close)

    app = FastAPIOffline(
        title="vlmrec",
        version=version("vlmrec"),
        description="Next-item recommendations from pictures, words and clicks.",
        lifespan=life,
        responses=_REFUSALS,
        redirect_slashes=False,  # the host of a redirect would be what the request says
        redoc_url=None,
        static_url=DOCS_SCRIPTS,
    )
    for router in (
        lists_router(service),
        events_router(service),
        items_router(service),
        browsing_router(service),
        service_router(service),
    ):
        app.include_router(router)
    add_page(app)
    if keys:
        _describe_keys(app)
    _answer_when_unable(app)
    _answer_errors(app)
    app.add_middleware(Guard, service=service, keys=keys or Keys({}))
    return app


def _describe_keys(app: FastAPI) -> None:
    """Makes the document say that keys are needed, so that /docs asks for one."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        document = plain()
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["key"] = {"type": "http", "scheme": "bearer"}
        document["security"] = [{"key": []}]
        return document

    app.openapi = described


def _answer_when_unable(app: FastAPI) -> None:
    """Makes what is no fault of the request a 503."""

    @app.exception_handler(StoreError)
    async def _store(_: Request, error: StoreError) -> JSONResponse:
        _log.error("%s", error)
        return problem(503, "The database cannot be used now; nothing was stored.", "Try again.")

    @app.exception_handler(UnableError)
    async def _unable(_: Request, error: UnableError) -> JSONResponse:
        _log.error("%s Cause: %s", error, error.__cause__)
        return problem(503, error.problem, error.fix)

    @app.exception_handler(OverloadedError)
    async def _busy(_: Request, __: OverloadedError) -> JSONResponse:
        answer = problem(503, "Too many requests wait for an answer.", "Try again in a moment.")
        answer.headers["Retry-After"] = "1"
        return answer


def _answer_errors(app: FastAPI) -> None:
    """Makes every error a `Problem`; none tells of files, code or the database's address."""

    @app.exception_handler(ArtifactError)
    async def _artifact(_: Request, error: ArtifactError) -> JSONResponse:
        _log.error("%s", error)
        return problem(422, "The run cannot be served: it is missing, damaged or does not fit.")

    @app.exception_handler(VlmrecError)
    async def _asked(_: Request, error: VlmrecError) -> JSONResponse:
        return problem(422, error.problem, error.fix)

    @app.exception_handler(RequestValidationError)
    async def _body(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return _no_json()
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return problem(422, f"{where or 'The body'}: {first['msg']}.", "See /docs.")

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        if error.detail == _UNREADABLE:
            return _no_json()
        answer = problem(error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def _defect(request: Request, error: Exception) -> JSONResponse:
        _log.exception("a defect at %s", request.url.path, exc_info=error)
        return problem(500, "The service failed at this request; its log says why.")


def _no_json() -> JSONResponse:
    return problem(400, "The body is no JSON.", "See /docs for what is expected.")


def problem(status: int, what: str, fix: str = "") -> JSONResponse:
    """Returns an error as all errors look."""
    return JSONResponse({"problem": what, "fix": fix}, status)
