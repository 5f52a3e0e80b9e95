"""The ASGI application: Django inside the layers of `server` and `bodies`."""

from __future__ import annotations

import os
from importlib import import_module

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceclone.settings")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402 - Django must be set up first
from django.urls import reverse  # noqa: E402

from apps.conversations.live.socket import LiveSockets  # noqa: E402
from voiceclone.bodies import BodyLimit  # noqa: E402
from voiceclone.callers import is_known  # noqa: E402
from voiceclone.server import (  # noqa: E402
    GracefulShutdown,
    KeyedRequests,
    OneSite,
    OneThreadHandler,
    RequestIds,
    WarmEngines,
    WriteDeadline,
    abort_connection,
)

# Django would import these during the first request, which would then be slow.
for module in (settings.ROOT_URLCONF, settings.MESSAGE_STORAGE.rpartition(".")[0]):
    import_module(module)

# Anybody may send recordings there; these pages have limits of their own.
OPEN_PATHS = [reverse(name) for name in ("verify", "report", "api:verify")]

handler = BodyLimit(
    KeyedRequests(OneThreadHandler()), max_bytes=settings.MAX_UPLOAD_BYTES, is_known=is_known, open_paths=OPEN_PATHS
)
sockets = LiveSockets(handler, abort=abort_connection)
served = GracefulShutdown(WarmEngines(sockets), grace_seconds=settings.SHUTDOWN_GRACE_SECONDS, sockets=sockets)
site = WriteDeadline(RequestIds(served))
application = OneSite(site)
