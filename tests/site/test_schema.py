"""The OpenAPI description is complete, valid and has examples, and a page shows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from django.test import Client
from django.urls import get_resolver
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from apps.core.api_schema import registered
from tests.site.routes import routes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apps.voices.models import VoiceProfile
    from tests.client import Api

FOR_PROGRAMS = ("api/", "v1/", "clone-voice", "full-interaction")
OWN_PAGES = {"api/docs/", "api/schema/"}
ERRORS = {"429", "4XX", "5XX"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The description that programs receive."""
    return dict(json.loads(Client().get("/api/schema/", headers={"Accept": "application/json"}).content))


def operations(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each operation by its method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the media types of the request and the responses of an operation, without its errors."""
    yield from operation.get("requestBody", {}).get("content", {}).items()
    for status, response in operation["responses"].items():
        if status not in ERRORS:
            yield from response.get("content", {}).items()


def test_it_is_generated_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    validate_schema(schema)  # type: ignore[no-untyped-call]
    assert capsys.readouterr().err == ""


def test_it_is_openapi_3_1(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")


def test_every_url_for_programs_is_in_it(schema: dict[str, Any]) -> None:
    paths = {path.strip("/").replace("{", "<").replace("}", ">") for path in schema["paths"]}
    expected = {
        "/".join(f"<{part.split(':')[-1]}" if part.startswith("<") else part for part in route.strip("/").split("/"))
        for route in routes(get_resolver().url_patterns)
        if route.startswith(FOR_PROGRAMS) and route not in OWN_PAGES
    }
    assert paths == expected


def test_no_description_is_registered_for_a_missing_operation(schema: dict[str, Any]) -> None:
    assert len(operations(schema)) == sum(len(methods) for methods in registered().values())


def test_every_operation_has_a_name_an_example_and_an_error(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema).items():
        assert operation["summary"], name
        assert operation["tags"], name
        assert "curl" in operation["x-codeSamples"][0]["source"], name
        assert {"4XX", "5XX"} <= operation["responses"].keys(), name
        for media_type, content in contents(operation):
            if media_type == "application/json":
                assert content.get("examples"), (name, media_type)


def test_examples_match_their_schemas(schema: dict[str, Any]) -> None:
    checked = 0
    for operation in operations(schema).values():
        for media_type, content in contents(operation):
            for example in content.get("examples", {}).values():
                if media_type in {"application/json", "multipart/form-data"}:
                    whole = {"components": schema["components"], **content["schema"]}
                    jsonschema.validate(example["value"], whole)
                    checked += 1
    assert checked > len(registered())


def test_generated_clients_can_use_it(schema: dict[str, Any]) -> None:
    """What linters and generators of clients ask for: `make test-clients` has them try it."""
    assert schema["servers"]
    assert not [path for path in schema["paths"] if path.endswith("/")]
    assert "Error" not in schema["components"]["schemas"]
    assert not [name for name, operation in operations(schema).items() if "default" in operation["responses"]]
    voice = schema["components"]["schemas"]["Voice"]
    assert set(voice["required"]) == set(voice["properties"])


def test_it_describes_authentication_and_media_types(schema: dict[str, Any]) -> None:
    assert schema["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    ask = operations(schema)["POST /api/v1/conversations/{conversation_pk}/turns"]
    assert {"token": []} in ask["security"]
    assert "audio/flac" in operations(schema)["GET /api/v1/turns/{turn_pk}/audio"]["responses"]["206"]["content"]
    assert "text/event-stream" in ask["responses"]["200"]["content"]
    assert {"application/json", "multipart/form-data"} <= ask["requestBody"]["content"].keys()


@pytest.mark.parametrize(
    "name",
    [
        "POST /clone-voice",
        "POST /full-interaction",
        "POST /api/v1/voices",
        "POST /api/v1/voices/{voice_pk}/preview",
        "POST /api/v1/voices/{voice_pk}/retry",
        "POST /api/v1/conversations/{conversation_pk}/turns",
        "POST /api/v1/turns/{turn_pk}/retry",
        "POST /api/v1/turns/{turn_pk}/regenerate",
        "POST /api/v1/transcriptions",
        "POST /api/v1/speech",
        "POST /v1/audio/speech",
        "POST /v1/audio/transcriptions",
    ],
)
def test_operations_that_cost_money_accept_an_idempotency_key(schema: dict[str, Any], name: str) -> None:
    parameters = operations(schema)[name]["parameters"]
    assert "Idempotency-Key" in {parameter["name"] for parameter in parameters}


def test_a_voice_matches_its_description(alice_api: Api, schema: dict[str, Any], voice: VoiceProfile) -> None:
    operation = operations(schema)["GET /api/v1/voices"]
    described = operation["responses"]["200"]["content"]["application/json"]["schema"]
    body = alice_api.get("/api/v1/voices").json()
    assert len(body["results"]) == 1
    jsonschema.validate(body, {"components": schema["components"], **described})


@pytest.mark.django_db
def test_its_page_is_open_to_everybody(client: Client) -> None:
    response = client.get("/api/docs/")
    assert response.status_code == 200
    assert 'data-schema="/api/schema/"' in response.content.decode()
