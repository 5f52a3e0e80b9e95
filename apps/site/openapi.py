"""The parts of the OpenAPI description that concern the whole API: errors, limits and the order of tags."""

from __future__ import annotations

from typing import Any

from apps.conversations.api_schema import OPENAI, STAGES, TALK
from apps.core.api_errors import OPENAI_PATHS
from apps.core.api_schema import ACCOUNT
from apps.site.api_schema import MARKS, SITE
from apps.usage.api import LIMIT_PARAMETERS
from apps.voices.api_schema import VOICES

TAGS = [VOICES, TALK, STAGES, OPENAI, MARKS, ACCOUNT, SITE]
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
    """Add the error responses to each operation, and sort the tags. A postprocessing hook of drf-spectacular."""
    result["tags"] = [{"name": tag} for tag in TAGS]
    schemas = result["components"].setdefault("schemas", {})
    schemas |= {"Error": ERROR, "OpenAIError": OPENAI_ERROR}
    for path, methods in result["paths"].items():
        name = "OpenAIError" if path.startswith(OPENAI_PATHS) else "Error"
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        for method in HTTP_METHODS & methods.keys():
            responses = methods[method]["responses"]
            limits = next(iter(responses.values())).get("headers", {})
            if LIMIT_PARAMETERS[0].name in limits:
                headers = {limit.name: limits[limit.name] for limit in LIMIT_PARAMETERS} | {"Retry-After": RETRY_AFTER}
                responses["429"] = {"description": "A limit is reached.", "headers": headers, "content": content}
            responses["default"] = {"description": "An error.", "content": content}
    return result
