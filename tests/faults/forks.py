"""Starts web servers and workers for tests that kill them.

Each is a fork of this process, which has already imported the application, because the import takes seconds. This
process reads lines "web PORT" or "worker" from standard input, and writes the process id of each fork.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module

import django
import uvicorn

# The modules that take longest to import. No threads or processes may start before a fork: it would not have them.
MODULES = [
    "voiceclone.asgi",
    "voiceclone.urls",
    "apps.background.management.commands.worker",
    "apps.speech.providers.openai",
    "apps.speech.providers.elevenlabs",
    "apps.speech.local.speaker",
    "apps.speech.provenance.signing",
]

# Lets the system remove killed children at once, so that they do not stay as zombies.
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
django.setup()


def web(port: str) -> None:
    from voiceclone.asgi import application

    uvicorn.run(application, host="127.0.0.1", port=int(port), log_config=None, timeout_keep_alive=60)


def worker() -> None:
    from django.core.management import call_command

    call_command("worker", "--no-startup-delay", "--no-reload", "--with-parent")


def run(name: str, port: str = "") -> None:
    if name == "web":
        web(port)
    else:
        worker()


def main() -> None:
    for name in MODULES:
        import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            run(*line.split())
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
