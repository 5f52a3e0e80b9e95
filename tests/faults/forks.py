"""Starts the web server and the worker as often as a test kills them.

Each is a process of its own, forked from this one, which has the application imported: to import it takes seconds.
On standard input come "web PORT" and "worker"; the process id of what was started is the answer.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module

import django
import uvicorn

# What takes longest in a start. Nothing is begun before the fork: threads and processes of this one are not the fork's.
MODULES = [
    "voiceclone.asgi",
    "voiceclone.urls",
    "apps.background.management.commands.worker",
    "apps.speech.providers.openai",
    "apps.speech.providers.elevenlabs",
    "apps.speech.local.speaker",
    "apps.speech.provenance.signing",
]

# Who is killed waits for nobody to collect it.
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
django.setup()


def web(port: str) -> None:
    from voiceclone.asgi import application

    uvicorn.run(application, host="127.0.0.1", port=int(port), log_config=None, timeout_keep_alive=60)


def worker() -> None:
    from django.core.management import call_command

    call_command("worker", "--no-startup-delay", "--no-reload")


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
