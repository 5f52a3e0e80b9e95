"""Logging: plain text on a terminal, and one JSON object per line everywhere else."""

from __future__ import annotations

import socket
import sys
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS


def logging_config(*, audit_log: str, release: str) -> dict[str, Any]:
    """Return the LOGGING setting. `audit_log` is the path of a file that also gets the audit log; may be empty.

    Each JSON object tells which host and which `release` wrote it: the lines of several meet in one place.
    """
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"format": "{asctime} {levelname:<7} {name}{ids}: {message}", "style": "{"},
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "format": "{asctime}{levelname}{name}{message}",
                "style": "{",
                "static_fields": {"host": socket.gethostname(), "release": release},
                "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
                # Django adds the request with its query, and uvicorn adds a coloured copy of the message.
                "reserved_attrs": [*RESERVED_ATTRS, "request", "color_message", "ids"],
            },
        },
        "filters": {
            "without_query": {"()": "apps.core.logs.WithoutQuery"},
            "without_secret_links": {"()": "apps.core.logs.WithoutSecretLinks"},
            "with_ids": {"()": "apps.core.logs.WithIds"},
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "text" if sys.stderr.isatty() else "json",
                "filters": ["without_secret_links", "with_ids"],
            },
        },
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
            "uvicorn": {"handlers": [], "propagate": True},
            "uvicorn.access": {"handlers": [], "filters": ["without_query"], "propagate": True},
            "uvicorn.error": {"handlers": [], "filters": ["without_query"], "propagate": True},
            "faster_whisper": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "httpx2": {"level": "WARNING"},
            # It warns about many texts whose words espeak-ng joins, such as "of the".
            "phonemizer": {"level": "ERROR"},
        },
    }
    if audit_log:
        # This handler notices when logrotate moves the file, and opens a new one.
        config["handlers"]["audit"] = {
            "class": "logging.handlers.WatchedFileHandler",
            "filename": audit_log,
            "encoding": "utf-8",
            "delay": True,
            "formatter": "json",
            "filters": ["with_ids"],
        }
        config["loggers"]["voiceclone.audit"] = {"handlers": ["audit"], "propagate": True}
    return config
