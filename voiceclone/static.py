"""WhiteNoise, fitted to an ASGI server and to ES modules."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """Answers with a file's content at once: the file iterator that WhiteNoise gives can not be read by ASGI."""

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


class StaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Names files after their content, in the imports of scripts as well: without that a module is loaded twice."""

    support_js_module_import_aggregation = True
