"""Redis as a cache. If it does not answer, the request is refused with a message for the person (503)."""

from __future__ import annotations

import logging
from typing import Any

from django.core.cache.backends import redis as django_redis
from redis import Redis
from redis.exceptions import RedisError

from apps.core.errors import cache_unavailable

logger = logging.getLogger(__name__)

# Redis answers within milliseconds. Nobody should wait for one that does not.
OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 2}


class _Connection(Redis):
    def execute_command(self, *words: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*words, **options)  # type: ignore[no-untyped-call]
        except RedisError as error:
            logger.error("Redis does not answer", extra={"reason": type(error).__name__})
            raise cache_unavailable() from error


class _Client(django_redis.RedisCacheClient):
    def __init__(self, servers: list[str], **options: Any) -> None:
        super().__init__(servers, **OPTIONS | options)
        self._client = _Connection


class RedisCache(django_redis.RedisCache):
    """Raises UserError cache_unavailable if Redis does not answer."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _Client
