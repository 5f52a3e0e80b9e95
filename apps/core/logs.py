"""What must not reach the logs, and what every line of them has."""

import logging
import re
from contextvars import Context, ContextVar

SECRET_LINK = re.compile(r"(/accounts/(?:password/reset/key|confirm-email|invitation|erasures)/)[^/\s]+")

# Which request and which turn this is; tasks and threads that are begun for one inherit them.
request_id: ContextVar[str] = ContextVar("request_id", default="")
turn_id: ContextVar[str] = ContextVar("turn_id", default="")


def detached_context() -> Context:
    """Return a context for what outlives its request: only the id of that goes along."""
    context = Context()
    context.run(request_id.set, request_id.get())
    return context


class WithoutQuery(logging.Filter):
    """Cuts the query off the addresses that the web server logs: a search for private words is private too."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, version, status = record.args
            record.args = (client, method, str(path).partition("?")[0], version, status)
        return True


class WithoutSecretLinks(logging.Filter):
    """Takes out what makes an address a key: of links in mails, which reset passwords, confirm and invite."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(SECRET_LINK.sub(r"\1…", arg) if isinstance(arg, str) else arg for arg in record.args)
        return True


class WithIds(logging.Filter):
    """Puts the ids of the request and of the turn on every line, where there are any."""

    def filter(self, record: logging.LogRecord) -> bool:
        ids = {"request_id": request_id.get(), "turn_id": turn_id.get()}
        for name, value in ids.items():
            if value:
                setattr(record, name, value)
        record.ids = "".join(f" [{value}]" for value in ids.values() if value)
        return True
