"""Three processes share a plan of ten requests at once, through Redis: never an eleventh, and no turn fails for it.

One of them is killed, and then Redis.
"""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import requests

from tests.client import LONG_REPLY, Api, turns_path, wait_until
from tests.fakes.provider import FakeProvider
from tests.processes import Site, migrated_database, remote, running_site
from tests.redis import RedisServer, running_redis

SERVER = ["uvicorn", "voiceclone.asgi:application"]
PLAN = 10
SHARE = PLAN // 3
PEOPLE = 18
GIVEN_BACK_SECONDS = 8  # A lease of five, a report, and the clocks of a slow machine.


def ask(url: str, conversation: str, token: str) -> str:
    """Ask a question and return how its turn ended."""
    with Api(url, token) as api:
        try:
            return str(api.post(turns_path(conversation), json={"text": "Hello?"}).json()["status"])
        except requests.ConnectionError:
            return "killed"


def ask_all(sites: list[Site], conversation: str, token: str) -> list[str]:
    with ThreadPoolExecutor(PEOPLE) as people:
        urls = [sites[number % len(sites)].url for number in range(PEOPLE)]
        return list(people.map(lambda url: ask(url, conversation, token), urls))


def held(redis: RedisServer) -> set[str]:
    with redis.client() as client:
        return set(client.zrange("voiceclone:slots:elevenlabs:held", 0, -1))


def is_back(site: Site) -> bool:
    return "Redis is back" in site.log.read_text()


def test_three_processes_never_exceed_the_plan(tmp_path: Path, provider: FakeProvider) -> None:
    provider.behaviour.reply, provider.behaviour.audio_speed = LONG_REPLY, 10
    provider.behaviour.speech_limit = PLAN
    shutil.copy(migrated_database(), tmp_path / "shared.sqlite3")
    with running_redis() as redis, ExitStack() as stack:
        shared = {
            "DATABASE_URL": f"sqlite:///{tmp_path}/shared.sqlite3",
            "MEDIA_ROOT": str(tmp_path / "media"),
            "MARKS_DIR": str(tmp_path / "marks"),
            "SHARED_LIMITS_URL": redis.url,
            "LIMITS": "off",
            "PROCESSES": "3",
            **remote(provider),
        }
        sites = []
        for number in range(3):
            folder = tmp_path / str(number)
            folder.mkdir()
            sites.append(stack.enter_context(running_site(SERVER, folder, **shared)))
        conversation, token = sites[0].add_conversation(provider.add_voice("Jane"))

        assert ask_all(sites, conversation, token) == PEOPLE * ["spoken"]
        assert provider.most_speaking == PLAN
        assert [request.status for request in provider.requests if request.status == 429] == []
        wait_until(lambda: not held(redis))

        with ThreadPoolExecutor(1) as runner:
            asked = runner.submit(ask_all, sites, conversation, token)
            wait_until(lambda: len(held(redis)) == PLAN)
            sites[2].process.kill()
            killed_at, tokens = time.monotonic(), held(redis)
            wait_until(lambda: not tokens & held(redis))
            seconds = time.monotonic() - killed_at
            ends = asked.result()
        assert 0.5 < seconds < GIVEN_BACK_SECONDS
        assert set(ends) <= {"spoken", "killed"}
        assert ends.count("killed") <= PEOPLE / 3
        wait_until(lambda: not held(redis))
        provider.most_speaking = 0
        assert ask_all(sites[:2], conversation, token) == PEOPLE * ["spoken"]
        assert provider.most_speaking == PLAN

        redis.kill()
        provider.most_speaking = 0
        assert ask_all(sites[:2], conversation, token) == PEOPLE * ["spoken"]
        assert provider.most_speaking <= 2 * SHARE
        redis.start()
        for site in sites[:2]:
            wait_until(partial(is_back, site))
        assert ask_all(sites[:2], conversation, token) == PEOPLE * ["spoken"]
        assert provider.most_speaking == PLAN
        wait_until(lambda: not held(redis))
