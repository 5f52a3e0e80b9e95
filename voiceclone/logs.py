"""What must not reach the logs."""

import logging


class WithoutQuery(logging.Filter):
    """Cuts the query off the addresses that the web server logs: a search for private words is private too."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, version, status = record.args
            record.args = (client, method, str(path).partition("?")[0], version, status)
        return True
