"""The OpenAPI description of usage."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from apps.core.api_examples import (
    A_TIME,
    A_TURN,
)
from apps.core.api_schema import (
    ACCOUNT,
    Operation,
    Operations,
    answers_json,
    answers_list,
)
from apps.usage import api

REFERENCE = OpenApiParameter("reference", OpenApiTypes.UUID, description="Only records of this turn or voice.")
USED = {
    "heard_seconds": 2.4,
    "spoken_characters": 31,
    "tokens_read": 80,
    "tokens_written": 8,
    "cost_usd": 0.0049,
}
USED_TODAY = {**USED, "day": "2026-03-02", "requests": 1}

OPERATIONS: Operations = {
    api.UsageSummary: {
        "GET": Operation(
            ACCOUNT,
            "Read your usage and your remaining limits",
            **answers_json(
                api.UsageSummary.Output,
                {
                    "today": USED_TODAY,
                    "limits": [{"name": "requests", "limit": 1000, "used": 1, "left": 999}],
                    "resets_at": "2026-03-03T00:00:00Z",
                    "days": [USED_TODAY],
                    "unpriced": [],
                },
            ),
        ),
    },
    api.UsageRecordList: {
        "GET": Operation(
            ACCOUNT,
            "List the usage of each request",
            **answers_list(
                api.UsageRecordSerializer, {**USED, "kind": "turn", "reference": A_TURN, "created_at": A_TIME}
            ),
            parameters=(REFERENCE,),
        ),
    },
}
