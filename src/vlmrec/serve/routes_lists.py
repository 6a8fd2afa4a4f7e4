"""Routes that give lists: for a person, like an item, of given items, for many at once."""

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic_core import to_json

from vlmrec.core.errors import DataError
from vlmrec.serve.asking import Answer, Ask
from vlmrec.serve.explaining import explain
from vlmrec.serve.json_route import JsonRoute
from vlmrec.serve.schemas import (
    BatchAnswer,
    BatchRequest,
    ExplainRequest,
    ExplanationOut,
    Promotion,
    Recommendation,
    RecommendRequest,
    RerankRequest,
    SimilarRequest,
)
from vlmrec.serve.service import Service
from vlmrec.serve.similar import similar_items
from vlmrec.serve.views import answer_as_seen


def lists_router(service: Service) -> APIRouter:
    """Returns the routes."""
    router = APIRouter(tags=["lists"], route_class=JsonRoute)

    async def list_for(request: RecommendRequest) -> dict[str, Any]:
        history = await history_of(service, request.user_id, request.history)
        ask = ask_of(request, history)
        if request.modality is None:
            answer = await asyncio.wrap_future(service.recommend(ask))
        else:
            answer = await run_in_threadpool(answer_as_seen, service.live, ask, request.modality)
        service.note_shown(answer, request.user_id)
        return as_json(answer)

    @router.post("/recommend", response_model=Recommendation)
    async def recommend(request: RecommendRequest) -> Response:
        """The next items for a user, for an anonymous history, or for both together."""
        return _written(await list_for(request))

    @router.post("/recommend/batch", response_model=BatchAnswer)
    async def recommend_batch(request: BatchRequest) -> Response:
        """Lists for many; all are made, or none."""
        answers = await asyncio.gather(*(list_for(one) for one in request.requests))
        return _written({"answers": answers})

    @router.post("/similar", response_model=Recommendation)
    async def similar(request: SimilarRequest) -> Response:
        """Items whose vectors lie next to that of an item."""
        answer = await run_in_threadpool(similar_items, service.live, request)
        return _written(as_json(answer))

    @router.post("/rerank", response_model=Recommendation)
    async def rerank(request: RerankRequest) -> Response:
        """A given list, in the order of a person's taste."""
        history = await history_of(service, request.user_id, request.history)
        wanted = tuple(dict.fromkeys(request.items))
        ask = Ask(tuple(history), k=len(wanted), keep_seen=True, allow=wanted)
        answer = await asyncio.wrap_future(service.recommend(ask))
        return _written(as_json(answer))

    @router.post("/explain", response_model=ExplanationOut)
    async def explain_item(request: ExplainRequest) -> Response:
        """Why an item is recommended: words, pictures, the clicks that carried it, its kin."""
        history = await history_of(service, request.user_id, request.history)
        found = await run_in_threadpool(explain, service.live, history, request.item_id)
        return _written(asdict(found))

    return router


async def history_of(service: Service, user: str | None, visit: list[str]) -> list[str]:
    """Returns a user's stored history, then that of the visit."""
    if user is None:
        return visit
    return [*await run_in_threadpool(service.history, user), *visit]


def ask_of(request: RecommendRequest, history: list[str]) -> Ask:
    """Returns what a request asks of a run.

    Raises:
        DataError: What is promoted was said twice.
    """
    promote = request.promote or Promotion()
    if promote.items and promote.filter is not None:
        raise DataError("Promoted were both items and a filter.", "Give one of the two.")
    return Ask(
        history=tuple(history),
        k=request.k,
        keep_seen=request.keep_seen,
        filter=request.filter,
        allow=None if request.allow is None else tuple(request.allow),
        deny=tuple(request.deny),
        diversity=request.diversity,
        promoted=tuple(promote.items) if promote.filter is None else promote.filter,
        promoted_share=0.0 if request.promote is None else promote.share,
    )


def _written(body: dict[str, Any]) -> Response:
    """Returns a body that is not checked again; pydantic writes it faster than `json`."""
    return Response(to_json(body), media_type="application/json")


def as_json(answer: Answer) -> dict[str, Any]:
    """Returns an answer as `Recommendation` describes it."""
    return {
        "recommendation_id": answer.recommendation_id,
        "items": [vars(one) for one in answer.items],
        "unknown_items": list(answer.unknown),
        "fallback": answer.fallback,
        "run": answer.run,
    }
