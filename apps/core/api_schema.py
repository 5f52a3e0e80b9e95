"""Describes the API as OpenAPI 3.1: each app registers an Operation for each method of its views."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

JSON, FORM, EVENTS, TEXT = "application/json", "multipart/form-data", "text/event-stream", "text/plain"
ACCOUNT = "Account"
PATH_PARAMETER = re.compile(r"\{(\w+?)(?:_pk)?\}")
INPUTS = {"POST": ("CreateInput", "Input"), "PATCH": ("ChangeInput",)}
# No null character, and at least one character that Python does not strip. Python strips more than ECMA-262's `\s`.
NOT_BLANK = r"^[^\x00]*[^\s\x00\x1c-\x1f\x85][^\x00]*$"

SOUND = OpenApiResponse(OpenApiTypes.BINARY, description="An audio file.")
RANGE = OpenApiParameter(
    "Range", location=OpenApiParameter.HEADER, description="The part to return, such as `bytes=0-999`."
)
AI_GENERATED = "`true`: the voice is synthetic."
MAY_BE_MISSING = "If the server has lost the file, the answer is `410 recording_missing`."
SYNTHETIC = OpenApiParameter(
    "X-AI-Generated", location=OpenApiParameter.HEADER, response=True, description=AI_GENERATED
)
DELETED: dict[str, Any] = {"status": 204}


@dataclass(frozen=True)
class Operation:
    """One operation. `answers` maps media types to serializers or descriptions; without any, the answer is empty."""

    tag: str
    summary: str
    answers: dict[str, Any] = field(default_factory=dict)
    answer_examples: dict[str, Any] = field(default_factory=dict)
    request_examples: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    description: str = ""
    needs: str = ""
    parameters: tuple[OpenApiParameter, ...] = ()
    operation_id: str = ""

    @property
    def has_ranges(self) -> bool:
        return RANGE in self.parameters

    def status_of(self, media_type: str) -> int:
        """Return the status of an answer. A stream answers 200, because it begins before anything is created."""
        return 200 if media_type == EVENTS else self.status


def answers_json(serializer: Any, example: Any) -> dict[str, Any]:
    return {"answers": {JSON: serializer}, "answer_examples": {JSON: example}}


def answers_list(serializer: type[serializers.Serializer[Any]], example: Any) -> dict[str, Any]:
    return answers_json(serializer(many=True), example)


def sends_json(values: Any) -> dict[str, Any]:
    return {"request_examples": {JSON: values}}


def sends_form(**values: str | list[str]) -> dict[str, Any]:
    """Return the example of a form. The values of a field that is repeated are a list."""
    return {"request_examples": {FORM: values}}


Operations = Mapping[type, Mapping[str, Operation]]
"""The operations of views, by method: `{VoiceList: {"GET": Operation(...)}}`."""

_operations: dict[type, Mapping[str, Operation]] = {}


def register(operations: Operations) -> None:
    """Add an app's operations to the description; an app calls this in `AppConfig.ready()`."""
    _operations.update(operations)


def registered() -> Operations:
    """Return the operations of all apps."""
    return _operations


class OperationSchema(AutoSchema):
    """Describes a view by its Operation. Its nested `Input`, `CreateInput` or `ChangeInput` is the request body."""

    @property
    def operation(self) -> Operation:
        return _operations[type(self.view)][self.method]

    def get_summary(self) -> str:
        return self.operation.summary

    def get_description(self) -> str:  # type: ignore[override] # as drf-spectacular does
        scope = "read" if self.method == "GET" else getattr(self.view, "token_scope", None)
        needs = f"A token needs the scope `{scope}`." if scope else "Not available with a token: sign in on the site."
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
        """Return the media types that have an example: the views also parse forms, which are not documented."""
        return list(self.operation.request_examples) or super().map_parsers()

    def _map_serializer_field(self, field: Any, direction: Any, bypass_extensions: bool = False) -> Any:  # noqa: FBT001, FBT002 - drf-spectacular calls it so
        """Describe that a text which must not be blank holds more than spaces; list default choices in their order."""
        schema: dict[str, Any] = super()._map_serializer_field(field, direction, bypass_extensions)  # type: ignore[no-untyped-call]
        if direction == "request" and type(field) is serializers.CharField and not field.allow_blank:
            return {**schema, "pattern": NOT_BLANK}
        if isinstance(field, serializers.MultipleChoiceField) and "default" in schema:  # A set has no order.
            return {**schema, "default": [choice for choice in field.choices if choice in schema["default"]]}
        return schema

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        """Describe that an answer has all of its fields; drf-spectacular omits those that a request may omit."""
        schema: dict[str, Any] = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        return {**schema, "required": list(schema["properties"])} if direction == "response" else schema

    def get_response_serializers(self) -> Any:
        operation = self.operation
        if not operation.answers:
            return {operation.status: OpenApiResponse(description=HTTPStatus(operation.status).phrase)}
        answers = operation.answers.items()
        partial = {(206, media_type): answer for media_type, answer in answers if operation.has_ranges}
        return {(operation.status_of(media_type), media_type): answer for media_type, answer in answers} | partial

    def get_serializer_name(self, serializer: Any, direction: str) -> str:
        """Name a serializer that is nested in a view after both: `SpeechInput`."""
        return type(serializer).__qualname__.replace(".", "")

    def get_operation_id(self) -> str:
        return self.operation.operation_id or super().get_operation_id()

    def get_override_parameters(self) -> list[Any]:
        parameters = list(self.operation.parameters)
        parameters += getattr(getattr(self.view, self.method.lower(), None), "parameters", [])
        if self.method == "POST":
            parameters += getattr(self.view, "post_parameters", [])
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
                lines += [f"-F '{name}={part}'" for name, content in value.items() for part in _parts(content)]
            break
        media_types = list(operation.answers)
        if media_types and "json" not in media_types[0]:
            lines.append("-o answer")
        address = PATH_PARAMETER.sub(lambda part: f"${part[1].upper()}", self.path)
        lines.append(f"https://voice.example.org{address}")
        return " \\\n     ".join(lines)


def _parts(content: str | list[str]) -> list[str]:
    return content if isinstance(content, list) else [content]
