"""WhiteNoise, adapted to ASGI servers and ES modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse
from rcssmin import cssmin
from rjsmin import jsmin
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """Sends a file as one block: ASGI cannot use the file iterator of WhiteNoise."""

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        found = static_file.get_response(request.method, request.META)
        content = found.file.read() if found.file else b""
        if found.file:
            found.file.close()
        response = HttpResponse(content, status=int(found.status), headers=dict(found.headers))
        if "Content-Type" not in dict(found.headers):
            del response["Content-Type"]
        return response


MINIFIERS: dict[str, Callable[[str], str]] = {"css": cssmin, "js": jsmin}  # For the folders of our own files.


class StaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Minifies our own files, and adds a hash of the content to all file names.

    Imports in scripts use the hashed names too; otherwise a browser would load a module twice.
    """

    support_js_module_import_aggregation = True
    max_post_process_passes = 20  # A chain of imports needs one pass per module.

    def post_process(self, paths: dict[str, Any], dry_run: bool = False, **options: Any) -> Iterator[Any]:  # noqa: FBT001, FBT002 - Django's signature
        if not dry_run:
            paths |= {name: (self, name) for name in paths if self._minify(name)}
        yield from super().post_process(paths, dry_run=dry_run, **options)

    def _minify(self, name: str) -> bool:
        """Minify the collected file if it is one of our own. Return whether it is."""
        minify = MINIFIERS.get(name.partition("/")[0])
        if minify:
            path = Path(self.path(name))
            path.write_text(minify(path.read_text()))
        return minify is not None
