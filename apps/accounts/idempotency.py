"""Carries out a request that costs money once, however often it arrives: `Idempotency-Key`.

Source: draft-ietf-httpapi-idempotency-key-header-07. Of several copies, the one that stores the key first is carried
out, to its end: that its client may leave before is hidden from it (`voiceclone.server.KeyedRequests`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError
from django.http import HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.authentication import signed_in_user
from apps.accounts.models import IdempotencyKey, User
from apps.core.errors import UserError

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEY = re.compile(r"[!-~]{1,255}")
KEY_PARAMETER = OpenApiParameter(
    HEADER,
    {"type": "string", "pattern": f"^{KEY.pattern}$"},
    OpenApiParameter.HEADER,
    description="A random text of 1 to 255 characters for this one request. Sent again with the same key within 24 "
    "hours, it is not carried out again, and the first answer comes back.",
)
ANSWER_LIFETIME = timedelta(hours=24)
# Longer than any request runs: a process that has held a key for longer was killed.
MAX_REQUEST_DURATION = timedelta(minutes=10)
RETRY_SECONDS = 2
# Sixteen minutes of speech as WAV, which is longer than the longest text.
MAX_KEPT_BYTES = 48_000_000
KEPT_HEADERS = ("Content-Type", "Cache-Control", "X-AI-Generated", "X-Content-Type-Options")

View = TypeVar("View")
Params = ParamSpec("Params")
Answer = TypeVar("Answer", bound=HttpResponseBase)
Handler = Callable[Concatenate[View, Request, Params], Answer]

NoteMade = Callable[[object], None]
"""Takes the primary key of the row that a request is about to create."""


class Repeatable(Protocol):
    """A view with a method that is `idempotent_by_row`."""

    def repeat(self, request: Request, row: IdempotencyKey) -> HttpResponseBase:
        """Answer from the row that the first request with the same key created; `row.made` is its primary key."""
        ...


RepeatableView = TypeVar("RepeatableView", bound=Repeatable)


def idempotent(handler: Handler[View, Params, Answer]) -> Handler[View, Params, HttpResponseBase]:
    """Answer repetitions of a request with the same key as the first time. `handler` is a method of an API view.

    Successful answers are stored. An error frees the key, so that the request can be tried again.
    """

    @wraps(handler)
    def answer_once(view: View, request: Request, /, *args: Params.args, **kwargs: Params.kwargs) -> HttpResponseBase:
        row, is_mine = _claimed(request)
        if row is None:
            return handler(view, request, *args, **kwargs)
        if not is_mine:
            return replayed(_kept_answer(row))
        with _freed_on_error(row):
            response = handler(view, request, *args, **kwargs)
        return _keeping(row, response)

    answer_once.parameters = [KEY_PARAMETER]  # type: ignore[attr-defined]
    return answer_once


def idempotent_by_row(
    handler: Callable[Concatenate[RepeatableView, Request, NoteMade, Params], Answer],
) -> Handler[RepeatableView, Params, HttpResponseBase]:
    """Like `idempotent`, for a method that creates a row: repetitions are answered from that row.

    The method gets a NoteMade after the request. After it has called that, an error no longer frees the key, and the
    view's `repeat(request, row)` answers repetitions; it marks its answer with `replayed` if it did no work.
    """

    @wraps(handler)
    def answer_once(
        view: RepeatableView, request: Request, /, *args: Params.args, **kwargs: Params.kwargs
    ) -> HttpResponseBase:
        row, is_mine = _claimed(request)
        if row is None:
            return handler(view, request, lambda _pk: None, *args, **kwargs)
        if not is_mine:
            return view.repeat(request, row)
        with _freed_on_error(row):
            return handler(view, request, partial(_note_made, row), *args, **kwargs)

    answer_once.parameters = [KEY_PARAMETER]  # type: ignore[attr-defined]
    return answer_once


def _claimed(request: Request) -> tuple[IdempotencyKey | None, bool]:
    """Return the row of the request's key, or None without a key, and whether to carry out the request."""
    key = request.headers.get(HEADER)
    if key is None:
        return None, True
    return claim(owner=signed_in_user(request), key=key, fingerprint=fingerprint_of(request))


@contextmanager
def _freed_on_error(row: IdempotencyKey) -> Iterator[None]:
    try:
        yield
    except BaseException:
        _free(row)
        raise


def _note_made(row: IdempotencyKey, pk: object) -> None:
    row.made = str(pk)
    row.save(update_fields=["made"])


def key_in_use() -> UserError:
    """Return the error for a request whose first copy is still running (409)."""
    text = _("The first request with this Idempotency-Key still runs. Send it again in a moment for its answer.")
    return UserError("idempotency_key_in_use", text, status=409, headers={"Retry-After": str(RETRY_SECONDS)})


def fingerprint_of(request: Request) -> str:
    """Return a hash of method, address and content, without multipart boundaries and file names."""
    data = request.data
    parts: list[Any] = [request.method, request.get_full_path()]
    if isinstance(data, QueryDict):
        parts += [[name, [_content_of(value) for value in values]] for name, values in sorted(data.lists())]
    else:
        parts.append(data)
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _content_of(value: object) -> str:
    if not isinstance(value, UploadedFile):
        return str(value)
    digest = hashlib.sha256()
    for chunk in value.chunks():
        digest.update(chunk)
    value.seek(0)
    return digest.hexdigest()


def claim(*, owner: User, key: str, fingerprint: str) -> tuple[IdempotencyKey, bool]:
    """Return the row of `key`, and whether the caller carries out the request or answers from the row.

    Raises UserError: idempotency_key_invalid, idempotency_key_reused, idempotency_key_in_use.
    """
    if not KEY.fullmatch(key):
        raise UserError("idempotency_key_invalid", _("An Idempotency-Key has 1 to 255 visible ASCII characters."))
    forget_old_keys()
    try:
        row, is_new = IdempotencyKey.objects.get_or_create(
            owner=owner, key=key, defaults={"fingerprint": fingerprint, "claimed_at": timezone.now()}
        )
    except IntegrityError:  # Another request has freed it between the two queries.
        raise key_in_use() from None
    if is_new:
        return row, True
    if row.fingerprint != fingerprint:
        text = _("This Idempotency-Key was used for another request. Take a new key for each request.")
        raise UserError("idempotency_key_reused", text, status=422)
    if row.made or row.status is not None:
        return row, False
    if not _take_over(row):
        raise key_in_use()
    return row, True


def _take_over(row: IdempotencyKey) -> bool:
    now = timezone.now()
    running = IdempotencyKey.objects.filter(pk=row.pk, claimed_at=row.claimed_at, status=None, made="")
    return bool(running.filter(claimed_at__lt=now - MAX_REQUEST_DURATION).update(claimed_at=now))


def forget_old_keys() -> None:
    """Delete keys that are older than a day, with the answers stored in them."""
    IdempotencyKey.objects.filter(claimed_at__lt=timezone.now() - ANSWER_LIFETIME).delete()


def _kept_answer(row: IdempotencyKey) -> HttpResponseBase:
    if row.body is None:
        text = _("The answer to the first request with this Idempotency-Key was too large to be kept.")
        raise UserError("idempotent_answer_not_kept", text, status=409)
    return HttpResponse(bytes(row.body), status=row.status, headers=row.headers)


def replayed(response: Answer) -> Answer:
    """Mark an answer as a repetition, for which no work was done."""
    response[REPLAYED] = "true"
    return response


def _keeping(row: IdempotencyKey, response: HttpResponseBase) -> HttpResponseBase:
    """Store the answer as soon as it is complete; an error frees the key."""
    if response.status_code >= 400:
        _free(row)
    elif isinstance(response, StreamingHttpResponse):
        response.streaming_content = _kept_when_over(row, response, response.streaming_content)
    elif isinstance(response, Response):
        response.add_post_render_callback(lambda rendered: _keep(row, rendered, rendered.content))
    else:
        _keep(row, response, cast("HttpResponse", response).content)
    return response


async def _kept_when_over(row: IdempotencyKey, response: HttpResponseBase, stream: Any) -> AsyncIterator[bytes]:
    kept, is_over = bytearray(), False
    try:
        async for chunk in stream:
            kept += chunk if len(kept) <= MAX_KEPT_BYTES else b""
            yield chunk
        is_over = True
    finally:
        await (sync_to_async(_keep)(row, response, bytes(kept)) if is_over else sync_to_async(_free)(row))


def _keep(row: IdempotencyKey, response: HttpResponseBase, body: bytes) -> None:
    row.status = response.status_code
    row.headers = {name: response[name] for name in KEPT_HEADERS if name in response}
    row.body = body if len(body) <= MAX_KEPT_BYTES else None
    row.save(update_fields=["status", "headers", "body"])


def _free(row: IdempotencyKey) -> None:
    if not row.made:
        row.delete()
