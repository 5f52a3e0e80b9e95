"""What all addresses of OpenAI's wire format have in common: how they read requests, and how they tell errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.datastructures import MultiValueDict
from rest_framework import status
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api import StrictSerializer
from apps.core.api_errors import handle_exception, openai_error_body

# OpenAI's own voices. Programs send these names if nobody has chosen a voice in them.
STOCK_VOICES = frozenset(
    ["alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse"]
)
# Another request with the same key is wrong as a whole.
UNPROCESSABLE_CODES = {"idempotency_key_reused"}


class IgnoreAcceptHeader(BaseContentNegotiation):
    """Ignores `Accept`: OpenAI's clients expect the format that the body names, whatever the header says."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        content_type = request.content_type or ""
        return next((parser for parser in parsers if content_type.startswith(parser.media_type)), None)

    def select_renderer(
        self, _request: Request, renderers: Any, _format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class OpenAIView(APIView):
    """The base of all views here: errors have OpenAI's format and statuses.

    `content_field` is the field that holds the text or the recording: it is wrong if neither can be used.
    """

    content_negotiation_class = IgnoreAcceptHeader
    content_field = ""

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return handle_openai_exception


def handle_openai_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception of a view into an error that OpenAI's clients understand."""
    response = handle_exception(error, context)
    if response is None:
        return None
    content = response.data["error"]
    param = "voice" if content["code"].startswith("voice_") else None
    if response.status_code == status.HTTP_422_UNPROCESSABLE_ENTITY and content["code"] not in UNPROCESSABLE_CODES:
        response.status_code = status.HTTP_400_BAD_REQUEST
        param = context["view"].content_field
    response.data = openai_error_body(content, response.status_code)
    response.data["error"]["param"] = response.data["error"]["param"] or param
    return response


# The base of the input here: OpenAI's clients send null for what is not set. A comment, because drf-spectacular would
# repeat a docstring in the description of every body.
class OpenAISerializer(StrictSerializer):
    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and not isinstance(data, MultiValueDict):
            data = {name: value for name, value in data.items() if value is not None}
        return super().to_internal_value(data)
