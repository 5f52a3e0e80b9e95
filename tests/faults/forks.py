"""Starts the web server and the worker as often as a test kills them.

Each is a process of its own, forked from this one, which has the application imported: to import it takes seconds.
On standard input come "web PORT" and "worker"; the process id of what was started is the answer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from importlib import import_module

import django
import uvicorn

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


async def import_engines() -> None:
    """Do once what takes longest in the start of a web server."""
    from apps.speech import registry

    await registry.open_engines()
    await registry.close_engines()


def main() -> None:
    for name in ("voiceclone.asgi", "voiceclone.urls", "apps.accounts.management.commands.worker"):
        import_module(name)
    asyncio.run(import_engines())
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
