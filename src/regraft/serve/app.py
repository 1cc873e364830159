"""The application: what is asked under which path, and what is answered."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from regraft.features.engines import cores
from regraft.serve import answers, body, metrics, origins, pages
from regraft.serve.access import AccessLog
from regraft.serve.batching import Batcher
from regraft.serve.decode import Decoder
from regraft.serve.guard import Guard, refusal, trouble
from regraft.serve.limits import Held, Limits, Problem, Refused
from regraft.serve.model import Model, description

_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_BODY: Final = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [body.FIELD],
                "properties": {
                    body.FIELD: {"type": "array", "items": _BINARY["schema"]},
                },
            }
        },
        "image/*": _BINARY,
        "application/octet-stream": _BINARY,
    },
}
_WHY: Final = {
    400: "the body is damaged or incomplete",
    401: "the bearer token is missing or wrong",
    408: "the body comes too slowly",
    413: "too many bytes or too many images",
    415: "no image, or a body of another kind",
    422: "an image that cannot be used, or a wrong parameter",
    500: "the server failed, and says why on its standard error",
    503: "too much is waiting: try again after Retry-After seconds",
}
_TROUBLES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": answers.Trouble, "description": why} for status, why in _WHY.items()
}
_TOKEN: Final[dict[int | str, dict[str, Any]]] = {401: _TROUBLES[401]}
TOP: Final = 5
"""Classes told of an image unless ``?top=`` asks for another number."""


@dataclass(frozen=True)
class Batching:
    """``images`` are run together at most; one waits up to ``seconds`` for others."""

    images: int = 32
    seconds: float = 0.003


def application(
    model: Model,
    limits: Limits | None = None,
    *,
    batching: Batching | None = None,
    token: str | None = None,
    cors: Sequence[str] = (),
    access_log: bool = False,
) -> ASGIApp:
    """Return the ASGI application around a model that is ready.

    Args:
        model: what answers.
        limits: what is taken at most.
        batching: how images are run together.
        token: what every request but for the page and its health has to bring.
        cors: origins whose pages may ask (`regraft.serve.origins.checked`).
        access_log: write a line on standard error for every request.
    """
    limits = limits or Limits()
    counts = metrics.Metrics(model.classes, model.result.plan.evidence.answer)
    desk = Desk(model, limits, batching or Batching(), counts)
    does = answers.WORDS[model.kind].does
    app = FastAPI(
        title=f"regraft: {model.result.plan.dataset}",
        description=f"{does} with a network that regraft adapted to them.",
        docs_url=None,
        redoc_url=None,
        lifespan=lambda app: desk.open(),
    )
    _routes(app, desk, counts)
    _troubles(app)
    open_to_all = pages.add(app) | {"/healthz"}
    guarded: ASGIApp = Guard(app, token, open_to_all, counts)
    if cors:
        guarded = origins.allowing(guarded, cors)
    return AccessLog(guarded) if access_log else guarded


class Desk:
    """Takes requests for predictions: reads, decodes, has them run, answers."""

    def __init__(
        self, model: Model, limits: Limits, batching: Batching, counts: metrics.Metrics
    ) -> None:
        self.model, self.limits, self._counts = model, limits, counts
        self._thresholds = dict(zip(model.classes, model.result.thresholds, strict=False))
        self._held = Held(limits.held_bytes)
        self._decode = Decoder(model.view, limits)
        self._pool: ThreadPoolExecutor | None = None
        self.batcher = Batcher(
            model,
            batch=batching.images,
            wait=batching.seconds,
            waiting=limits.waiting,
            seen=counts.batch,
            changed=counts.waiting,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take requests until the block ends."""
        async with self.batcher.running():
            with ThreadPoolExecutor(cores(), "decode") as self._pool:
                yield

    async def predict(self, request: Request, top: int) -> Response:
        """Answer one request, whatever is in it."""
        start = time.perf_counter()
        stream = body.Stream(request, self.limits)
        try:
            self.batcher.check_room()  # before anything of the body is read
            with self._held.share() as share:
                uploads = await body.read(stream, share)
                with self.batcher.taking(len(uploads)):
                    found = await asyncio.gather(*(self._one(upload, top) for upload in uploads))
        except Refused as refused:
            return refusal(refused, unread=not stream.done)
        finally:
            self._counts.predicted(time.perf_counter() - start)
        return JSONResponse({"images": found}, _status(found))

    async def _one(self, upload: body.Upload, top: int) -> dict[str, Any]:
        """Return what is told of one image."""
        loop = asyncio.get_running_loop()
        found = upload.problem
        if found is None:
            with self.batcher.coming():
                seen = await loop.run_in_executor(self._pool, self._decode, upload.data)
            if not isinstance(seen, Problem):
                judged = await self.batcher.judged(seen.square)
                named = len(self.model.classes) if self.model.kind == "several" else top
                told = self.model.prediction(upload.name, judged, named)
                self._counts.classified(told)
                warning = {"warning": seen.warning} if seen.warning else {}
                answer = answers.told_of(self.model.kind, told, top, self._thresholds)
                return {"name": upload.name, **answer, **warning}
            found = seen
        self._counts.image(found.code)
        why = {"problem": found.code, "status": found.status, "detail": found.detail}
        unknown = {"known": None, "belief": None} if self.model.kind == "one" else {}
        return {"name": upload.name, **why, **unknown}


def _status(found: Sequence[dict[str, Any]]) -> int:
    """200 where one image was classified; else the images' own, or 422 where they differ."""
    statuses = {one.get("status", 200) for one in found}
    if 200 in statuses:
        return 200
    return statuses.pop() if len(statuses) == 1 else 422


def _routes(app: FastAPI, desk: Desk, counts: metrics.Metrics) -> None:
    kind, words = desk.model.kind, answers.WORDS[desk.model.kind]
    said = (
        "Images as the multipart field files, or one image as the body itself.\n\n"
        f"The answer has an entry for each: {words.told}, or why there is none. The status is 200 "
        "where at least one could be answered."
    )

    async def predict(
        request: Request,
        top: Annotated[
            int, Query(ge=1, description=f"So many of the likeliest {words.names}.")
        ] = TOP,
    ) -> Response:
        return await desk.predict(request, top)

    async def predict_number(request: Request) -> Response:
        return await desk.predict(request, TOP)

    app.post(
        "/predict",
        name="predict",
        summary=words.asks,
        description=said,
        response_model=answers.ANSWERS[kind],
        response_description="what every image is",
        responses=_TROUBLES,
        openapi_extra={"requestBody": _BODY},
    )(predict_number if kind == "number" else predict)

    @app.get(
        "/healthz",
        summary="Whether images can be classified",
        response_model=answers.Health,
        response_description="they can be",
        responses={503: {"model": answers.Health, "description": "they cannot: start it anew"}},
    )
    async def healthz() -> Response:
        alive = desk.batcher.alive
        return JSONResponse({"status": "ok" if alive else "stopped"}, 200 if alive else 503)

    app.head("/healthz", include_in_schema=False)(healthz)  # as load balancers ask

    limits = {**asdict(desk.limits), "files": desk.limits.together}
    told = {**description(desk.model), "limits": limits}

    @app.get(
        "/model",
        summary="What the network is and what it was worth on held-out images",
        response_model=answers.MODELS[kind],
        response_description="the network",
        responses=_TOKEN,
    )
    async def model() -> Response:
        return JSONResponse(told)

    @app.get(
        "/metrics",
        summary="Counters in Prometheus' text format",
        response_class=Response,
        response_description="the counters",
        responses={200: {"content": {"text/plain": {}}}, **_TOKEN},
    )
    async def prometheus() -> Response:
        return Response(counts.text(), media_type=metrics.MEDIA_TYPE)


def _troubles(app: FastAPI) -> None:
    """Tell every mistake in the same form."""

    async def wrong_parameter(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        told = [
            f"{one['loc'][-1]}: {one['msg']}, got {one['input']!r:.80}" for one in error.errors()
        ]
        return trouble(Problem(422, "parameter", f"{'; '.join(told)}."), unread=True)

    async def not_here(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = (
            f"{error.detail}: there are POST /predict, GET /model, /healthz, /metrics and /docs."
        )
        code = {404: "no-such-path", 405: "method"}.get(error.status_code, "request")
        return trouble(Problem(error.status_code, code, detail), unread=True, headers=error.headers)

    async def failed(request: Request, error: Exception) -> Response:
        detail = "The server failed; its standard error says why. Nothing else was disturbed."
        return trouble(Problem(500, "failed", detail), unread=True)

    app.add_exception_handler(Exception, failed)
    app.add_exception_handler(RequestValidationError, wrong_parameter)
    app.add_exception_handler(HTTPException, not_here)
