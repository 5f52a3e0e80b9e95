"""Describes the API as OpenAPI 3.1, out of the views themselves and of what `voiceclone.operations` says of each."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from apps.accounts.idempotency import HEADER, KEY
from voiceclone.api import OPENAI_PATHS

if TYPE_CHECKING:
    from voiceclone.operations import Operation

PATH_PARAMETER = re.compile(r"\{(\w+?)(?:_pk)?\}")
INPUTS = {"POST": ("CreateInput", "Input"), "PATCH": ("ChangeInput",)}
BODIES_OF_OPERATIONS = {"get", "post", "put", "patch", "delete"}
IDEMPOTENCY_KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "pattern": f"^{KEY.pattern}$"},
    OpenApiParameter.HEADER,
    description="A random text of 1 to 255 characters for this one request. Sent again with the same key within 24 "
    "hours, it is not carried out again, and the first answer comes back.",
)
LIMIT_HEADERS = [
    OpenApiParameter("RateLimit-Policy", location=OpenApiParameter.HEADER, response=True, description="Your limits."),
    OpenApiParameter("RateLimit", location=OpenApiParameter.HEADER, response=True, description="What is left of them."),
]
RETRY_AFTER = {"schema": {"type": "integer"}, "description": "The seconds until it can go on."}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "Stable."},
                "message": {"type": "string", "description": "What happened and what to do, for people."},
                "fields": {"type": "object", "description": "What is wrong with each field, by its name."},
            },
        }
    },
    "examples": [{"error": {"code": "not_found", "message": "There is nothing here, or it is not yours."}}],
}
OPENAI_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
    "examples": [
        {
            "error": {
                "message": "You have no such voice.",
                "type": "invalid_request_error",
                "param": None,
                "code": "voice_not_found",
            }
        }
    ],
}

# No null character, and something that is not cut off as space: to Python more is space than to patterns (ECMA-262).
NOT_BLANK = r"^[^\x00]*[^\s\x00\x1c-\x1f\x85][^\x00]*$"


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`Authorization: Bearer <token>`."""

    target_class = "apps.accounts.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "An API token of the person it acts for."}


class OperationSchema(AutoSchema):
    """What a view takes is its nested `Input`, `CreateInput` or `ChangeInput`; the rest is in the table."""

    @property
    def operation(self) -> Operation:
        from voiceclone.operations import OPERATIONS  # It imports the views, and they, through DRF, this module.

        return OPERATIONS[f"{self.method} {self.path}"]

    def get_summary(self) -> str:
        return self.operation.summary

    def get_description(self) -> str:  # type: ignore[override] # as drf-spectacular does
        scope = "read" if self.method == "GET" else getattr(self.view, "token_scope", None)
        needs = f"A token needs the scope `{scope}`." if scope else "Not with a token: only for who is signed in."
        if not self.view.get_authenticators():
            needs = "Open to everybody."
        return " ".join(filter(None, [self.operation.description, self.operation.needs or needs]))

    def get_tags(self) -> list[str]:
        return [self.operation.tag]

    def get_request_serializer(self) -> Any:
        if hasattr(self.view, "described_inputs") and self.method == "POST":
            return self.view.described_inputs
        names = INPUTS.get(self.method, ())
        return next((getattr(self.view, name) for name in names if hasattr(self.view, name)), None)

    def map_parsers(self) -> list[str]:
        """Describe only what there is an example of: Django REST framework takes forms where JSON is asked for."""
        return list(self.operation.request_examples) or super().map_parsers()

    def _map_serializer_field(self, field: Any, direction: Any, bypass_extensions: bool = False) -> Any:  # noqa: FBT001, FBT002 - drf-spectacular calls it so
        """Say of a text that must not be blank that it holds more than spaces, which are cut off."""
        schema: dict[str, Any] = super()._map_serializer_field(field, direction, bypass_extensions)  # type: ignore[no-untyped-call]
        if direction == "request" and type(field) is serializers.CharField and not field.allow_blank:
            return {**schema, "pattern": NOT_BLANK}
        return schema

    def get_response_serializers(self) -> Any:
        operation = self.operation
        if not operation.answers:
            return {operation.status: OpenApiResponse(description=HTTPStatus(operation.status).phrase)}
        answers = operation.answers.items()
        partial = {(206, media_type): answer for media_type, answer in answers if operation.has_ranges}
        return {(operation.status_of(media_type), media_type): answer for media_type, answer in answers} | partial

    def get_serializer_name(self, serializer: Any, direction: str) -> str:
        """Name what is nested in a view after both: `SpeechInput`."""
        return type(serializer).__qualname__.replace(".", "")

    def get_operation_id(self) -> str:
        return self.operation.operation_id or super().get_operation_id()

    def get_override_parameters(self) -> list[Any]:
        parameters = list(self.operation.parameters)
        if getattr(getattr(self.view, self.method.lower(), None), "is_idempotent", False):
            parameters.append(IDEMPOTENCY_KEY)
        if self.method == "POST" and hasattr(self.view, "tells_limits"):
            parameters += LIMIT_HEADERS
        return parameters

    def get_examples(self) -> list[OpenApiExample]:
        operation, examples = self.operation, []
        for media_type, value in operation.request_examples.items():
            examples.append(OpenApiExample("Request", value=value, request_only=True, media_type=media_type))
        for media_type, value in operation.answer_examples.items():
            status = str(operation.status_of(media_type))
            example = OpenApiExample(
                "Answer", value=value, response_only=True, media_type=media_type, status_codes=[status]
            )
            examples.append(example)
        return examples

    def get_extensions(self) -> dict[str, Any]:
        return {"x-codeSamples": [{"lang": "Shell", "label": "curl", "source": self._curl()}]}

    def _curl(self) -> str:
        operation = self.operation
        lines = ['curl -H "Authorization: Bearer $TOKEN"']
        if self.method != "GET" and not operation.request_examples:
            lines.append(f"-X {self.method}")
        for media_type, value in operation.request_examples.items():
            if media_type == "application/json":
                method = f"-X {self.method} " if self.method != "POST" else ""
                lines += ['-H "Content-Type: application/json"', f"{method}-d '{json.dumps(value)}'"]
            else:
                lines += [f"-F '{name}={content}'" for name, content in value.items()]
            break
        media_types = list(operation.answers)
        if media_types and "json" not in media_types[0]:
            lines.append("-o answer")
        address = PATH_PARAMETER.sub(lambda part: f"${part[1].upper()}", self.path)
        lines.append(f"https://voice.example.org{address}")
        return " \\\n     ".join(lines)


def describe_errors(result: dict[str, Any], generator: Any, request: Any, public: Any) -> dict[str, Any]:
    """Say of each operation that it may answer with an error, and in which shape; put the tags in their order."""
    from voiceclone.operations import TAGS

    result["tags"] = [{"name": tag} for tag in TAGS]
    schemas = result["components"].setdefault("schemas", {})
    schemas |= {"Error": ERROR, "OpenAIError": OPENAI_ERROR}
    for path, methods in result["paths"].items():
        name = "OpenAIError" if path.startswith(OPENAI_PATHS) else "Error"
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        for method in BODIES_OF_OPERATIONS & methods.keys():
            responses = methods[method]["responses"]
            limits = next(iter(responses.values())).get("headers", {})
            if LIMIT_HEADERS[0].name in limits:
                headers = {limit.name: limits[limit.name] for limit in LIMIT_HEADERS} | {"Retry-After": RETRY_AFTER}
                responses["429"] = {"description": "A limit is reached.", "headers": headers, "content": content}
            responses["default"] = {"description": "An error.", "content": content}
    return result
