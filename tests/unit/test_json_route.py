"""Bodies that are read at once are read as FastAPI reads them, and refused in its words."""

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from vlmrec.serve.json_route import JsonRoute
from vlmrec.serve.schemas import RecommendRequest

JSON = "application/json"
BODIES = [
    (b'{"history": ["a", "b"], "k": 3}', JSON),
    (b'{"history": ["a"], "k": 3.0, "diversity": "0.5"}', "application/json; charset=utf-8"),
    (b'{"history": ["a"], "k": 3, "k": 4}', JSON),
    ('{"user_id": "\u00fc\u4e2d"}'.encode(), "Application/JSON"),
    (b'{"user_id": "a"}', "application/vnd.shop+json"),
    (b'{"user_id": "a"}', "text/plain"),
    (b'{"user_id": "\\ud800"}', JSON),
    (b'{"user_id": "\xff"}', JSON),
    (b'{"user_id": "a", "k": 1e400}', JSON),
    (b'{"user_id": "a", "diversity": NaN}', JSON),
    (b'{"k": 0, "nope": 1}', JSON),
    (b'{"k": true}', JSON),
    (b"[" * 10_000, JSON),
    (b"[]", JSON),
    (b"{", JSON),
    (b"", JSON),
]


def client_of(kind):
    router = APIRouter(route_class=kind)

    @router.post("/ask")
    async def ask(request: RecommendRequest) -> Response:
        return Response(request.model_dump_json(), media_type=JSON)

    app = FastAPI()
    app.include_router(router)

    @app.exception_handler(RequestValidationError)
    async def refused(_: Request, error: RequestValidationError) -> Response:
        told = [f"{one['loc']} {one['msg']}" for one in error.errors()]
        return Response(ascii(told), 422)

    return TestClient(app)


@pytest.mark.parametrize(("body", "kind"), BODIES)
def test_every_body_gets_the_answer_of_fastapi(body, kind):
    answers = [
        client_of(route).post("/ask", content=body, headers={"content-type": kind})
        for route in (APIRoute, JsonRoute)
    ]
    assert answers[0].status_code == answers[1].status_code
    assert answers[0].text == answers[1].text


def test_an_endpoint_of_more_than_a_body_is_refused():
    async def ask(request: RecommendRequest, loud: bool) -> Response:
        return Response()

    with pytest.raises(TypeError, match=r"'/ask' takes .*; a JsonRoute takes one body"):
        JsonRoute("/ask", ask)
