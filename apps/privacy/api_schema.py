"""The OpenAPI description of the exports."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse

from apps.core.api_examples import (
    A_TIME,
    AN_EXPORT,
)
from apps.core.api_schema import (
    ACCOUNT,
    DELETED,
    SYNTHETIC,
    Operation,
    Operations,
    answers_json,
    answers_list,
)
from apps.privacy import api
from apps.privacy.downloads import ZIP

EXPORT = {
    "id": AN_EXPORT,
    "state": "ready",
    "parts_done": 42,
    "parts": 42,
    "size": 18_204_113,
    "missing": 0,
    "created_at": A_TIME,
    "expires_at": "2026-03-03T08:15:30Z",
}

OPERATIONS: Operations = {
    api.ExportList: {
        "GET": Operation(
            ACCOUNT, "List the export of your data, if there is one", **answers_list(api.ExportSerializer, EXPORT)
        ),
        "POST": Operation(
            ACCOUNT,
            "Export all your data into one file",
            **answers_json(api.ExportSerializer, {**EXPORT, "state": "waiting", "size": 0, "expires_at": None}),
            status=201,
            description="It replaces an earlier export. While one is being made, the answer is `409 export_under_way`.",
        ),
    },
    api.ExportDetail: {
        "GET": Operation(
            ACCOUNT,
            "Read the progress of an export",
            **answers_json(api.ExportSerializer, EXPORT),
            description="`missing` is the number of recordings that the server has lost: `MISSING.txt` lists them.",
        ),
        "DELETE": Operation(ACCOUNT, "Delete an export", **DELETED),
    },
    api.ExportDownload: {
        "GET": Operation(
            ACCOUNT,
            "Download your data",
            answers={ZIP: OpenApiResponse(OpenApiTypes.BINARY, description="A ZIP file.")},
            parameters=(SYNTHETIC,),
        ),
    },
}
