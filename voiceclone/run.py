"""`python -m voiceclone.run`: the web server and the worker side by side. When one of them ends, both end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process

from django.conf import settings

# Added to SHUTDOWN_GRACE_SECONDS: time to store interrupted turns and to close the server.
CLOSING_SECONDS = 20
WORKER = ["manage.py", "worker", "--no-startup-delay", "--no-reload"]


def main() -> int:
    """Run both until one ends or a stop signal arrives. The command line arguments are passed to uvicorn."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceclone.settings")
    return asyncio.run(_run_both([*["-m", "uvicorn", "voiceclone.asgi:application"], *sys.argv[1:]]))


async def _run_both(web: list[str]) -> int:
    stop_requested = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop_requested.set)
    processes = [
        # Own process groups, so that Ctrl+C does not reach them: a second stop signal would abort their work.
        await asyncio.create_subprocess_exec(sys.executable, *web, process_group=0),
        await asyncio.create_subprocess_exec(sys.executable, *WORKER, process_group=0),
    ]
    ends = [asyncio.create_task(process.wait()) for process in processes]
    stop = asyncio.create_task(stop_requested.wait())
    await asyncio.wait([*ends, stop], return_when=asyncio.FIRST_COMPLETED)
    was_requested = stop.done()
    stop.cancel()
    await _end(processes, ends)
    return 0 if was_requested else 1


async def _end(processes: list[Process], ends: list[asyncio.Task[int]]) -> None:
    for process in processes:
        if process.returncode is None:
            process.terminate()
    _ended, still_running = await asyncio.wait(ends, timeout=settings.SHUTDOWN_GRACE_SECONDS + CLOSING_SECONDS)
    for process in processes:
        if process.returncode is None:
            process.kill()
    if still_running:
        await asyncio.wait(still_running)


if __name__ == "__main__":
    sys.exit(main())
