"""Rate limits for visitors who are not signed in. Without the cache that counts them, nobody gets past them."""

from __future__ import annotations

import ipaddress
import math
import time
from contextlib import suppress
from dataclasses import dataclass

from django.core.cache import cache
from django.utils.translation import ngettext

from apps.core.digests import digest_of


@dataclass(frozen=True)
class Limit:
    """At most `attempts` per subject in the `seconds` that begin with the first attempt."""

    name: str
    attempts: int
    seconds: int

    def take(self, subject: str) -> int:
        """Count an attempt. Return 0 if it is allowed, else the seconds to wait."""
        now = int(time.time())
        end: int = cache.get_or_set(self._end_key(subject), now + self.seconds, self.seconds) or now
        counter = self._counter_key(subject, end)
        cache.add(counter, 0, 2 * self.seconds)
        try:
            count = cache.incr(counter)
        except ValueError:  # A full cache has dropped the counter.
            count = 1
            cache.set(counter, count, 2 * self.seconds)
        return 0 if count <= self.attempts else max(end - now, 1)

    def give_back(self, subject: str) -> None:
        """Uncount an attempt, because it succeeded."""
        counter = self._counter_key(subject, cache.get(self._end_key(subject)))
        with suppress(ValueError):  # A full cache has dropped the counter.
            if cache.get(counter):
                cache.decr(counter)

    def _end_key(self, subject: str) -> str:
        return f"limit:{self.name}:{digest_of(subject)}".replace(" ", "-")

    def _counter_key(self, subject: str, end: int | None) -> str:
        return f"{self._end_key(subject)}:{end}"


def network_of(address: str) -> str:
    """Return the network that stands for one visitor: an IPv4 address, or the /64 of an IPv6 address."""
    version = ipaddress.ip_address(address).version
    return str(ipaddress.ip_network(f"{address}/{32 if version == 4 else 64}", strict=False))


def wait_text(seconds: int) -> str:
    """Return a time to wait for people, such as "2 minutes"."""
    minutes = math.ceil(seconds / 60)
    return ngettext("%(minutes)d minute", "%(minutes)d minutes", minutes) % {"minutes": minutes}
