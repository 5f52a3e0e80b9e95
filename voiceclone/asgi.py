"""The application as the web server runs it: engines warm, requests numbered, bounded, and brought to an end."""

from __future__ import annotations

import os
from importlib import import_module

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceclone.settings")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402 - Django has to be set up first

from voiceclone.server import BodyLimit, GracefulEnd, OneThreadHandler, RequestIds, WarmEngines  # noqa: E402

# Left to Django, the first request would import all views, and where messages are kept.
for module in (settings.ROOT_URLCONF, settings.MESSAGE_STORAGE.rpartition(".")[0]):
    import_module(module)

application = RequestIds(
    GracefulEnd(
        WarmEngines(BodyLimit(OneThreadHandler(), max_bytes=settings.MAX_UPLOAD_BYTES)),
        grace_seconds=settings.SHUTDOWN_GRACE_SECONDS,
    )
)
