"""What several machines of one site share: PostgreSQL, Redis and an object store, as processes of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import django

from tests.fakes.object_store import KEYS, ObjectStore, create_bucket, running_object_store
from tests.fakes.provider import FakeProvider
from tests.postgresql import PostgreSQLServer, running_postgresql_server
from tests.redis import RedisServer, running_redis


@dataclass(frozen=True)
class Shared:
    """The running services."""

    database: PostgreSQLServer
    redis: RedisServer
    store: ObjectStore


@contextmanager
def running_services() -> Iterator[Shared]:
    """Run the services, with an empty bucket, and let the settings name them. Sets Django up.

    PostgreSQL writes to the disk before it confirms, as on a server.
    """
    with running_postgresql_server("") as database, running_redis() as redis, running_object_store() as store:
        os.environ |= KEYS | {"DATABASE_URL": database.url, "CACHE_URL": redis.url, "MEDIA_STORAGE": store.address}
        django.setup()
        from apps.core.storage import media

        create_bucket(media())  # type: ignore[arg-type] # an ObjectStorage
        yield Shared(database, redis, store)


def use_providers(provider: FakeProvider) -> None:
    """Let the settings name a fake in this process."""
    os.environ |= {
        "OPENAI_API_KEY": "any",
        "OPENAI_BASE_URL": provider.openai_url,
        "ELEVENLABS_API_KEY": "any",
        "ELEVENLABS_BASE_URL": provider.url,
    }
