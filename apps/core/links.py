"""Links to this site for mails, which are read outside of the request that causes them."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port


def absolute_url(request: HttpRequest, path: str) -> str:
    """Return `path` with the address of this site: SITE_URL, or else the host of the request.

    Anybody can write any port into a Host header, since Django checks only the name. So without SITE_URL, a link
    keeps the port only if the server itself listens to it.
    """
    return f"{settings.SITE_URL or _origin_of(request)}{path}"


def with_trusted_host(request: HttpRequest, url: str) -> str:
    """Return `url`, which names a page of this site by the host of `request`, as `absolute_url`."""
    parts = urlsplit(url)
    return absolute_url(request, parts._replace(scheme="", netloc="").geturl())


def _origin_of(request: HttpRequest) -> str:
    host = request.get_host()
    name, port = split_domain_port(host)
    return f"{request.scheme}://{host if port == request.get_port() else name}"
