"""The parts of the OpenAPI description that concern the whole API: errors, limits and the order of tags."""

from __future__ import annotations

from typing import Any

from apps.conversations.api_schema import OPENAI, STAGES, TALK
from apps.core.api_errors import OPENAI_PATHS
from apps.core.api_schema import ACCOUNT
from apps.site.api_schema import MARKS
from apps.usage.api import LIMIT_PARAMETERS
from apps.voices.api_schema import VOICES

TAGS = {
    VOICES: "Consents, recordings, and the voices cloned from them.",
    TALK: "Questions, and answers in a cloned voice.",
    STAGES: "Speech to text, and text to speech, each on its own.",
    OPENAI: "Single stages in the format of OpenAI's API, for its clients.",
    MARKS: "What tells that a sound file was made by an AI.",
    ACCOUNT: "Tokens, webhooks, usage and exports.",
}
HTTP_METHODS = {"get", "post", "put", "patch", "delete"}
RETRY_AFTER = {"schema": {"type": "integer"}, "description": "Seconds until the next attempt is allowed."}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "Stable."},
                "message": {"type": "string", "description": "The problem and its solution, for people."},
                "fields": {"type": "object", "description": "The problem with each field, by its name."},
                "details": {"type": "object", "description": "More about this error. Each endpoint documents its own."},
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


def describe_errors(result: dict[str, Any], generator: Any, request: Any, public: Any) -> dict[str, Any]:
    """Add the error responses to each operation, and sort the tags. A postprocessing hook of drf-spectacular.

    The name `Error` would hide JavaScript's own in generated clients. Errors have no `default` response: clients would
    take it for that of every success whose media type they do not know, such as sound.
    """
    result["tags"] = [{"name": name, "description": description} for name, description in TAGS.items()]
    schemas = result["components"].setdefault("schemas", {})
    schemas |= {"ErrorResponse": ERROR, "OpenAIErrorResponse": OPENAI_ERROR}
    for path, methods in result["paths"].items():
        name = "OpenAIErrorResponse" if path.startswith(OPENAI_PATHS) else "ErrorResponse"
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        for method in HTTP_METHODS & methods.keys():
            responses = methods[method]["responses"]
            limits = next(iter(responses.values())).get("headers", {})
            if LIMIT_PARAMETERS[0].name in limits:
                headers = {limit.name: limits[limit.name] for limit in LIMIT_PARAMETERS} | {"Retry-After": RETRY_AFTER}
                responses["429"] = {"description": "A limit is reached.", "headers": headers, "content": content}
            responses["4XX"] = {"description": "The request is refused.", "content": content}
            responses["5XX"] = {"description": "The site, or a service that it uses, failed.", "content": content}
    return result
