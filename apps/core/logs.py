"""Log filters: they remove private data from lines and add the ids of request and turn."""

import logging
import re
from contextvars import Context, ContextVar

SECRET_LINK = re.compile(
    r"(/accounts/(?:password/reset/key|confirm-email|invitation|erasures)/|(?<![^\s\"])/s/)[^/\s]+"
)

# The request and the turn that the current code runs for. Tasks and threads inherit them.
request_id: ContextVar[str] = ContextVar("request_id", default="")
turn_id: ContextVar[str] = ContextVar("turn_id", default="")


def detached_context() -> Context:
    """Return a context for work that outlives its request. It has only the request's id."""
    context = Context()
    context.run(request_id.set, request_id.get())
    return context


class WithoutQuery(logging.Filter):
    """Removes the query from the addresses that the web server logs: a search can hold private words."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, version, status = record.args
            record.args = (client, method, str(path).partition("?")[0], version, status)
        elif isinstance(record.args, tuple) and "WebSocket %s" in str(record.msg):
            client, path, *status = record.args
            record.args = (client, str(path).partition("?")[0], *status)
        return True


class WithoutSecretLinks(logging.Filter):
    """Removes the secret part of links, such as those that reset passwords and those that share an answer."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(SECRET_LINK.sub(r"\1…", arg) if isinstance(arg, str) else arg for arg in record.args)
        return True


class WithIds(logging.Filter):
    """Adds the ids of the request and of the turn to every line, if there are any."""

    def filter(self, record: logging.LogRecord) -> bool:
        ids = {"request_id": request_id.get(), "turn_id": turn_id.get()}
        for name, value in ids.items():
            if value:
                setattr(record, name, value)
        record.ids = "".join(f" [{value}]" for value in ids.values() if value)
        return True
