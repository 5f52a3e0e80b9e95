"""The parts of the OpenAPI description that are about the whole API: errors, limits and the order of tags."""

from __future__ import annotations

from typing import Any

from apps.conversations.api_schema import OPENAI, STAGES, TALK
from apps.core.api_errors import OPENAI_PATHS
from apps.core.api_schema import ACCOUNT
from apps.site.api_schema import MARKS, SITE
from apps.usage.api import LIMIT_PARAMETERS
from apps.voices.api_schema import VOICES

TAGS = [VOICES, TALK, STAGES, OPENAI, MARKS, ACCOUNT, SITE]
BODIES_OF_OPERATIONS = {"get", "post", "put", "patch", "delete"}
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


def describe_errors(result: dict[str, Any], generator: Any, request: Any, public: Any) -> dict[str, Any]:
    """Say of each operation that it may answer with an error, and in which shape; put the tags in their order."""
    result["tags"] = [{"name": tag} for tag in TAGS]
    schemas = result["components"].setdefault("schemas", {})
    schemas |= {"Error": ERROR, "OpenAIError": OPENAI_ERROR}
    for path, methods in result["paths"].items():
        name = "OpenAIError" if path.startswith(OPENAI_PATHS) else "Error"
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        for method in BODIES_OF_OPERATIONS & methods.keys():
            responses = methods[method]["responses"]
            limits = next(iter(responses.values())).get("headers", {})
            if LIMIT_PARAMETERS[0].name in limits:
                headers = {limit.name: limits[limit.name] for limit in LIMIT_PARAMETERS} | {"Retry-After": RETRY_AFTER}
                responses["429"] = {"description": "A limit is reached.", "headers": headers, "content": content}
            responses["default"] = {"description": "An error.", "content": content}
    return result
