"""The OpenAPI description of `/api/v1/verify`."""

from __future__ import annotations

from apps.core.api_schema import (
    Operation,
    Operations,
    answers_json,
    sends_form,
)
from apps.site import api

MARKS = "Marks"
VERIFIED = {
    "verdict": "made_here",
    "title": "Made here, by AI",
    "message": "An AI on this site spoke this, in the cloned voice of a person who gave their consent. …",
    "signed_here": True,
    "made_at": "2026-03-02T08:15:30+00:00",
    "engine": "elevenlabs",
    "signed_by": "",
    "says_synthetic": True,
}

OPERATIONS: Operations = {
    api.VerifyFile: {
        "POST": Operation(
            MARKS,
            "Check the origin of a sound file",
            **answers_json(api.VerifyFile.Output, VERIFIED),
            **sends_form(file="@answer.mp3"),
            description="`verdict` is made_here, altered, elsewhere, tagged or unmarked. The file is not stored.",
        ),
    },
}
