"""Routes about the service itself: is it alive, is it ready, what does it measure, which run."""

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse

from vlmrec.serve.schemas import Health, SwapAnswer, SwapRequest
from vlmrec.serve.service import Service


def service_router(service: Service) -> APIRouter:
    """Returns the routes."""
    router = APIRouter(tags=["service"])

    @router.get("/health")
    async def health() -> Health:
        """Whether the process is alive."""
        return Health(status="alive")

    @router.get("/ready")
    async def ready() -> Health:
        """Whether requests can be answered: a run is served and the database answers."""
        await run_in_threadpool(service.store.check)
        return Health(status="ready")

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Counts and times as Prometheus reads them."""
        return PlainTextResponse(service.measures.text(), media_type="text/plain; version=0.0.4")

    @router.post("/admin/run")
    async def swap(request: SwapRequest) -> SwapAnswer:
        """Serves another run; no request is dropped, none is answered by both."""
        return SwapAnswer(run=await run_in_threadpool(service.swap, request.run))

    return router
