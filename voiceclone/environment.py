"""Strict readers of environment variables. An invalid value stops the start; the error says which values are valid."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

from apps.core.object_address import storage_setting

TRUE_WORDS = frozenset({"on", "true", "yes", "1"})
FALSE_WORDS = frozenset({"off", "false", "no", "0"})
REDIS_CACHE = "apps.core.redis_cache.RedisCache"
DOTENV_LINE = re.compile(r"\s*|#.*|(export )?\w+=.*", re.ASCII)


class Environment:
    """Reads variables from the process environment and, if they are not set there, from `.env`.

    An empty value counts as not set. All readers raise ImproperlyConfigured for an invalid value.
    """

    def __init__(self, dotenv: Path) -> None:
        self._env = environ.Env()
        if dotenv.is_file():
            _check_lines(dotenv)
            self._env.read_env(str(dotenv))

    def text(self, name: str, default: str = "") -> str:
        # `Env.str` would take a value that begins with "$" for the name of another variable.
        return str(self._env.ENVIRON.get(name, "")).strip() or default

    def required(self, name: str, hint: str) -> str:
        value = self.text(name)
        if not value:
            raise _refusal(name, hint)
        return value

    def random_text(self, name: str, *, at_least: int) -> str:
        """Return a text of `at_least` so many characters, or ""."""
        value = self.text(name)
        if 0 < len(value) < at_least:
            raise _refusal(name, f"a random text of at least {at_least} characters")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        word = self.text(name, "on" if default else "off").lower()
        if word not in TRUE_WORDS | FALSE_WORDS:
            raise _refusal(name, "on or off")
        return word in TRUE_WORDS

    def integer(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        try:
            value = int(self.text(name, str(default)))
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum:
            raise _refusal(name, f"a whole number from {minimum} to {maximum}")
        return value

    def seconds(self, name: str, default: float, *, maximum: float = 3600) -> float:
        try:
            value = float(self.text(name, str(default)))
        except ValueError:
            value = 0
        if not 0 < value <= maximum:
            raise _refusal(name, f"a number of seconds, more than 0 and at most {maximum:g}")
        return value

    def choice(self, name: str, default: str, options: Sequence[str]) -> str:
        value = self.text(name, default).lower()
        if value not in options:
            raise _refusal(name, " or ".join(options))
        return value

    def words(self, name: str, default: Sequence[str]) -> list[str]:
        return [word.strip() for word in self.text(name, ",".join(default)).split(",") if word.strip()]

    def engines(self, name: str, required: Mapping[str, tuple[str, ...]]) -> list[str]:
        """Return the engines that the variable `name` names, in order: keys of `required`, or "local".

        `required` maps each engine to names of variables: it needs one of them, or nothing if there are none. The
        default is the first engine that has one of its variables, else "local".
        """
        configured = [engine for engine, variables in required.items() if any(map(self.text, variables))]
        engines = [engine.lower() for engine in self.words(name, [*configured, "local"][:1])]
        if not {*engines} <= {*required, "local"} or len(set(engines)) < len(engines):
            raise _refusal(name, " or ".join([*required, "local"]))
        for engine in engines:
            variables = required.get(engine, ())
            if variables and engine not in configured:
                message = f"{name}={','.join(engines)} needs {' or '.join(variables)}. Set it, or {name}=local."
                raise ImproperlyConfigured(message)
        return engines

    def engine(self, name: str, required: Mapping[str, tuple[str, ...]]) -> str:
        """Return the only engine that the variable `name` names, as `engines` does."""
        if len(self.words(name, [])) > 1:
            raise _refusal(name, "one engine: a voice works only with the engine that made it")
        return self.engines(name, required)[0]

    def engine_and_fallback(self, name: str, required: Mapping[str, tuple[str, ...]]) -> tuple[str, str]:
        """Return the engine that the variable `name` names, and the one that takes over while that is down, or ""."""
        first, *others = self.engines(name, required)
        if len(others) > 1:
            raise _refusal(name, "at most two engines, as in openai,local")
        return first, "".join(others)

    def address_and_key(self, prefix: str, *, address: str, key: str) -> tuple[str, str]:
        """Return the values of `{prefix}_BASE_URL` and `{prefix}_API_KEY`. The defaults are `address` and `key`.

        `key` belongs to `address`: with another address, the default key is "".
        """
        own_address = self.web_address(f"{prefix}_BASE_URL") or address
        return own_address, self.text(f"{prefix}_API_KEY", key if own_address == address else "")

    def origins(self, name: str, default: Sequence[str] = ()) -> list[str]:
        origins = self.words(name, default)
        if not all(_is_origin(origin) for origin in origins):
            raise _refusal(name, "a comma-separated list of origins such as https://example.org")
        return [origin.rstrip("/") for origin in origins]

    def origin(self, name: str) -> str:
        """Return the only origin that the variable `name` names, or ""."""
        origins = self.words(name, [])
        if len(origins) > 1 or not all(map(_is_origin, origins)):
            raise _refusal(name, "one origin such as https://example.org")
        return "".join(origins).rstrip("/")

    def web_address(self, name: str) -> str | None:
        address = self.text(name)
        if not address:
            return None
        parts = _web_parts(address)
        if parts is None or parts.username is not None:
            raise _refusal(name, "an address that begins with http:// or https://, without a user name")
        return address.rstrip("/")

    def trace_collector(self, name: str) -> str:
        """Return the address of a collector of traces, or "". With one, the packages that send to it are needed."""
        address = self.web_address(name) or ""
        try:
            if address:
                metadata.version("opentelemetry-exporter-otlp-proto-http")
        except metadata.PackageNotFoundError:
            message = f"{name} needs more packages: pip install -r requirements-tracing.txt, or leave it empty."
            raise ImproperlyConfigured(message) from None
        return address

    def mail_address(self, name: str) -> str:
        address = self.text(name)
        try:
            if address:
                validate_email(address)
        except ValidationError:
            raise _refusal(name, "an email address such as help@example.org") from None
        return address

    def prices(self, name: str, default: Mapping[str, float | None]) -> dict[str, float | None]:
        """Return `default`, updated with the prices from the variable, a JSON object; all in US dollars."""
        try:
            prices = {key: float(price) for key, price in json.loads(self.text(name, "{}")).items()}
        except (ValueError, TypeError, AttributeError):
            prices = {"": 0.0}
        if not prices.keys() <= default.keys() or not all(0 <= price < math.inf for price in prices.values()):
            example = json.dumps(dict.fromkeys(default, 0.5))
            raise _refusal(name, f"a JSON object of prices in dollars, such as {example}")
        return {**default, **prices}

    def path(self, name: str, default: Path) -> Path:
        try:
            return Path(self.text(name, str(default))).expanduser().absolute()
        except RuntimeError:
            raise _refusal(name, "a path; a name after ~ must be a user of this machine") from None

    def media_storage(self, default: Path) -> tuple[str, Path, dict[str, Any]]:
        """Return the storage of recordings as it is named, the folder of recordings, and the entry of STORAGES."""
        address, folder = self.text("MEDIA_STORAGE"), self.path("MEDIA_ROOT", default)
        try:
            entry = storage_setting(address)
        except ValueError as error:
            raise _refusal("MEDIA_STORAGE", str(error)) from None
        if address and "OPTIONS" not in entry:
            folder = self.path("MEDIA_STORAGE", folder)
        return address or str(folder), folder, entry

    def database(self, name: str, default: str) -> dict[str, Any]:
        wanted = "sqlite:////absolute/path/db.sqlite3 or postgres://user:password@host:5432/name"
        config = self._parsed(name, wanted, lambda: self._env.db_url_config(self.text(name, default)))
        if (
            config["ENGINE"] not in {"django.db.backends.sqlite3", "django.db.backends.postgresql"}
            or not config["NAME"]
        ):
            raise _refusal(name, wanted)
        return config

    def cache(self, name: str, default: str) -> dict[str, Any]:
        wanted = "locmemcache://, dbcache://table or redis://host:6379/0"
        config = self._parsed(name, wanted, lambda: self._env.cache_url_config(self.text(name, default)))
        if config["BACKEND"] == "django.core.cache.backends.redis.RedisCache":
            config["BACKEND"] = REDIS_CACHE
        elif config["BACKEND"] == "django.core.cache.backends.locmem.LocMemCache":
            # With Django's 300 entries, three hundred visitors would drop the counts of all others.
            config["OPTIONS"] = {"MAX_ENTRIES": 20_000}
        return config

    def redis(self, name: str, cache: Mapping[str, Any]) -> str:
        """Return the address of a Redis. The default is that of `cache`, or "" if it is none."""
        default = cache["LOCATION"] if cache["BACKEND"] == REDIS_CACHE else ""
        address = self.text(name, default if isinstance(default, str) else default[0])
        if address and not address.startswith(("redis://", "rediss://", "unix://")):
            raise _refusal(name, "an address such as redis://host:6379/0")
        return address

    def email(self, name: str, default: str) -> dict[str, Any]:
        wanted = "consolemail://, smtp+tls://user:password@host:587 or filemail:///absolute/folder"
        config = self._parsed(name, wanted, lambda: self._env.email_url_config(self.text(name, default)))
        if config["EMAIL_BACKEND"] == "django.core.mail.backends.filebased.EmailBackend":
            if config["EMAIL_HOST"] or not config["EMAIL_FILE_PATH"].strip("/"):
                raise _refusal(name, wanted)
            config["EMAIL_FILE_PATH"] = f"/{config['EMAIL_FILE_PATH'].lstrip('/')}"  # The parser removed the slash.
        return config

    @staticmethod
    def _parsed(name: str, wanted: str, parse: Callable[[], Any]) -> dict[str, Any]:
        try:
            return dict(parse())
        except Exception:  # noqa: BLE001 - each parser raises its own errors, and their text may contain a password
            raise _refusal(name, wanted) from None


def _check_lines(dotenv: Path) -> None:
    """Raise ImproperlyConfigured for an invalid line. The parser would skip it and log it, possibly with a secret."""
    for number, line in enumerate(dotenv.read_text(encoding="utf-8").splitlines(), 1):
        if not DOTENV_LINE.fullmatch(line):
            message = f"Line {number} of {dotenv.name} must be NAME=value, without spaces around the name."
            raise ImproperlyConfigured(message)


def _is_origin(origin: str) -> bool:
    parts = _web_parts(origin)
    return parts is not None and not parts.path.strip("/")


def _web_parts(address: str) -> SplitResult | None:
    """Return the parts of an http or https URL, or None if `address` is not one."""
    try:
        parts = urlsplit(address)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} and has_host else None


def _refusal(name: str, wanted: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"The environment variable {name} must be {wanted}.")
