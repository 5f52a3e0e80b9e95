"""The OpenAPI description of the tokens."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from apps.accounts import api
from apps.core.api_examples import (
    A_TIME,
)
from apps.core.api_schema import (
    ACCOUNT,
    DELETED,
    Operation,
    Operations,
    answers_json,
    answers_list,
    sends_json,
)

ONLY_ITSELF = "A token reaches only itself, whatever its scopes."
TOKEN = {
    "id": 3,
    "name": "My script",
    "scopes": ["read", "talk"],
    "created_at": A_TIME,
    "expires_at": None,
    "last_used_at": None,
}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`Authorization: Bearer <token>`."""

    target_class = "apps.accounts.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "An API token. It acts for its owner."}


class NewToken(api.TokenSerializer):
    """A token with its secret, which is shown only once."""

    token = serializers.CharField()

    class Meta(api.TokenSerializer.Meta):
        fields = [*api.TokenSerializer.Meta.fields, "token"]


OPERATIONS: Operations = {
    api.TokenList: {
        "GET": Operation(ACCOUNT, "List your tokens", **answers_list(api.TokenSerializer, TOKEN)),
        "POST": Operation(
            ACCOUNT,
            "Create a token",
            **answers_json(NewToken, {**TOKEN, "token": "vc_…"}),
            **sends_json({"name": "My script", "scopes": ["read", "talk"]}),
            status=201,
        ),
    },
    api.TokenDetail: {
        "GET": Operation(ACCOUNT, "Read a token", **answers_json(api.TokenSerializer, TOKEN), needs=ONLY_ITSELF),
        "DELETE": Operation(ACCOUNT, "Revoke a token", **DELETED, needs=ONLY_ITSELF),
    },
}
