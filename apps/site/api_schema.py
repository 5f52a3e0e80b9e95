"""The description of /api/v1/verify, and of the description itself."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.views import SpectacularAPIView

from apps.core.api_schema import (
    Operation,
    Operations,
    answers_json,
    sends_form,
)
from apps.site import api

MARKS, SITE = "Marks", "This description"
VERIFIED = {
    "verdict": "made_here",
    "title": "Made here, by AI",
    "message": "An AI spoke this on this site, in the cloned voice of a person who consented to that. …",
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
            "Ask a sound file where it comes from",
            **answers_json(api.VerifyFile.Output, VERIFIED),
            **sends_form(file="@answer.mp3"),
            description="`verdict` is made_here, altered, elsewhere, tagged or unmarked. Nothing of the file is kept.",
        ),
    },
    SpectacularAPIView: {
        "GET": Operation(
            SITE,
            "Read this description",
            answers=dict.fromkeys(
                ["application/vnd.oai.openapi", "application/vnd.oai.openapi+json"], OpenApiTypes.OBJECT
            ),
        ),
    },
}
