"""Routes that take events."""

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from vlmrec.serve.clock import now
from vlmrec.serve.schemas import EventsAnswer, EventsRequest
from vlmrec.serve.service import Service
from vlmrec.serve.store.records import Event


def events_router(service: Service) -> APIRouter:
    """Returns the routes."""
    router = APIRouter(tags=["events"])

    @router.post("/events", status_code=201)
    async def add_events(request: EventsRequest) -> EventsAnswer:
        """Clicks, purchases, ...: the next request of the user is answered with them.

        What was answered with 201 is on the disk of the database.
        """
        events = [
            Event(
                user_id=one.user_id,
                item_id=one.item_id,
                timestamp=now() if one.timestamp is None else one.timestamp,
                event=one.event,
                event_id=one.event_id,
                recommendation_id=one.recommendation_id,
            )
            for one in request.events
        ]
        stored = await run_in_threadpool(service.add_events, events)
        rows = service.live.rows
        unknown = dict.fromkeys(one.item_id for one in events if one.item_id not in rows)
        return EventsAnswer(
            stored=stored, already_there=len(events) - stored, unknown_items=list(unknown)
        )

    return router
