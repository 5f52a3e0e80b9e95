"""The ASGI application: request ids, a limit on bodies, warm engines and a graceful shutdown around Django."""

from __future__ import annotations

import os
from importlib import import_module

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceclone.settings")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402 - Django must be set up first

from voiceclone.server import (  # noqa: E402
    BodyLimit,
    GracefulShutdown,
    OneThreadHandler,
    RequestIds,
    WarmEngines,
    WriteDeadline,
)

# Django would import these during the first request, which would then be slow.
for module in (settings.ROOT_URLCONF, settings.MESSAGE_STORAGE.rpartition(".")[0]):
    import_module(module)

handler = BodyLimit(OneThreadHandler(), max_bytes=settings.MAX_UPLOAD_BYTES)
application = WriteDeadline(
    RequestIds(GracefulShutdown(WarmEngines(handler), grace_seconds=settings.SHUTDOWN_GRACE_SECONDS))
)
