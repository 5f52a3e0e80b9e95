"""The application as the web server runs it: engines warm, requests numbered, bounded, and brought to an end."""

from __future__ import annotations

import os
from importlib import import_module

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceclone.settings")
django_application = get_asgi_application()

from django.conf import settings  # noqa: E402 - Django has to be set up first

from voiceclone.server import BodyLimit, GracefulEnd, RequestIds, WarmEngines  # noqa: E402

# Left to Django, the first request would import all views, and where messages are kept.
for module in (settings.ROOT_URLCONF, settings.MESSAGE_STORAGE.rpartition(".")[0]):
    import_module(module)

application = RequestIds(
    GracefulEnd(
        WarmEngines(BodyLimit(django_application, max_bytes=settings.MAX_UPLOAD_BYTES)),
        grace_seconds=settings.SHUTDOWN_GRACE_SECONDS,
    )
)
