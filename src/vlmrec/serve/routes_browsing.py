"""Routes for whoever looks around: shelves, people, the reach of items, trials, two runs."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, File, Form, Path, Query, UploadFile
from fastapi.concurrency import run_in_threadpool

from vlmrec.serve.beside import Beside
from vlmrec.serve.browsing import look_through
from vlmrec.serve.live import Live
from vlmrec.serve.reach import Reach, reach_of
from vlmrec.serve.routes_items import given_item
from vlmrec.serve.routes_lists import as_json, ask_of, history_of
from vlmrec.serve.schemas import Expression, Identifier, Recommendation, SimilarRequest
from vlmrec.serve.schemas_browsing import (
    MOST_PEOPLE,
    CompareOut,
    CompareRequest,
    HistoryOut,
    ItemCard,
    ReachedOut,
    ReachOut,
    ReachRequest,
    RunOut,
    ShelfOut,
    TrialOut,
    UsersOut,
)
from vlmrec.serve.service import Service
from vlmrec.serve.similar import similar_items
from vlmrec.serve.views import answer_as_seen, modalities_of, takes_new_items

_LONGEST_SHELF = 200


def browsing_router(service: Service) -> APIRouter:
    """Returns the routes."""
    router = APIRouter(tags=["browsing"])
    beside = Beside(service)

    @router.get("/run")
    async def run() -> RunOut:
        """What is served: which model, what it reads, how many items it knows."""
        live = service.live
        return RunOut(
            run=live.identity,
            model=live.run.spec.name,
            modalities=list(modalities_of(live)),
            n_items=int(live.present[1:].sum()),
            takes_new_items=takes_new_items(live),
            fields=live.fields,
            runs=await run_in_threadpool(beside.names),
        )

    @router.get("/items")
    async def items(
        words: Annotated[str, Query(max_length=200, description="Parts of the title.")] = "",
        filter: Annotated[Expression | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=_LONGEST_SHELF)] = 50,
        offset: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    ) -> ShelfOut:
        """A part of the catalogue, the most frequent of training first."""
        live = service.live
        found = await run_in_threadpool(look_through, live, words, filter, limit, offset)
        return ShelfOut(items=[_card(live, row) for row in found.items], total=found.total)

    @router.get("/users")
    async def users(limit: Annotated[int, Query(ge=1, le=MOST_PEOPLE)] = 20) -> UsersOut:
        """People of the latest events."""
        return UsersOut(users=await run_in_threadpool(service.store.latest_users, limit))

    @router.get("/users/{user_id:path}/history")
    async def history(user_id: Annotated[Identifier, Path(description="User id.")]) -> HistoryOut:
        """What a user did, as far as it counts: the latest events, oldest first."""
        live, names = service.live, await run_in_threadpool(service.history, user_id)
        known, unknown = live.known(names)
        cards = [_card(live, row) for row in known.tolist()]
        return HistoryOut(user_id=user_id, items=cards, unknown_items=unknown)

    @router.post("/reach")
    async def reach(request: ReachRequest) -> ReachOut:
        """Whom an item would reach, among the people of the latest events."""
        live = service.live
        people = await run_in_threadpool(service.people, request.users)
        found = await run_in_threadpool(reach_of, live, request.item_id, people)
        return _reach(live, found)

    @router.post("/try")
    async def try_product(
        fields: Annotated[str, Form(description="JSON object: title, description, ...")] = "{}",
        picture: Annotated[UploadFile | None, File(description="JPEG, PNG, WEBP or GIF.")] = None,
        k: Annotated[int, Form(ge=1, le=100)] = 10,
        users: Annotated[int, Form(ge=1, le=MOST_PEOPLE)] = 300,
    ) -> TrialOut:
        """What a product would sit next to and whom it would reach; nothing is stored."""
        data = None if picture is None else await picture.read()
        item = await run_in_threadpool(given_item, service, "tried", fields, data)
        (live, name), people = await asyncio.gather(
            run_in_threadpool(service.tried, item), run_in_threadpool(service.people, users)
        )
        found = await run_in_threadpool(similar_items, live, SimilarRequest(item_id=name, k=k))
        reached = await run_in_threadpool(reach_of, live, name, people)
        similar = Recommendation.model_validate(as_json(found))
        return TrialOut(similar=similar, reach=_reach(live, reached))

    @router.post("/compare")
    async def compare(request: CompareRequest) -> CompareOut:
        """The lists of the run that is served and of another one."""
        ask = ask_of(request, await history_of(service, request.user_id, request.history))
        other = await run_in_threadpool(beside.live, request.run)  # it may take seconds to load
        both = [
            Recommendation.model_validate(
                as_json(await run_in_threadpool(answer_as_seen, live, ask, request.modality))
            )
            for live in (service.live, other)
        ]
        shared = {one.item_id for one in both[0].items} & {one.item_id for one in both[1].items}
        return CompareOut(served=both[0], other=both[1], in_both=len(shared))

    return router


def _card(live: Live, row: int) -> ItemCard:
    name = live.names[row]
    return ItemCard(item_id=name, title=live.titles[row], has_picture=name in live.pictures)


def _reach(live: Live, found: Reach) -> ReachOut:
    nearest = [
        ReachedOut(
            user_id=one.user_id,
            rank=one.rank,
            history=[_card(live, row) for row in live.known(one.history)[0].tolist()],
        )
        for one in found.nearest
    ]
    return ReachOut(
        users=found.users,
        in_top=dict(found.in_top),
        median_rank=found.median_rank,
        nearest=nearest,
    )
