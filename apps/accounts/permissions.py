"""Access to API views, by session or by the scopes of a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request

from apps.accounts import audit
from apps.accounts.models import ApiToken, Scope

if TYPE_CHECKING:
    from rest_framework.views import APIView  # It imports this module, which the settings name.


class InsufficientScope(APIException):
    """The token lacks the scope that the request needs (RFC 6750, 3.1)."""

    status_code = status.HTTP_403_FORBIDDEN
    default_code = "insufficient_scope"

    def __init__(self, scope: str) -> None:
        text = _("This token lacks the scope “%(scope)s”. Create one that has it.")
        super().__init__(text % {"scope": scope})
        self.auth_header = f'Bearer error="insufficient_scope", scope="{scope}"'


class TokenNotAllowed(APIException):
    """No token may do this, whatever its scopes."""

    status_code = status.HTTP_403_FORBIDDEN
    default_code = "token_not_allowed"

    def __init__(self) -> None:
        super().__init__(_("No token may do this. Sign in on the site and do it there."))


class HasScope(IsAuthenticated):
    """Admits signed-in users, and tokens within their scopes.

    Reading needs the scope "read". Other methods need the scope that the view names as its `token_scope`; without one,
    the view refuses them to every token.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not super().has_permission(request, view):
            return False
        # The view answers methods that it lacks with 405, to sessions and tokens alike.
        if isinstance(request.auth, ApiToken) and request.method in view.allowed_methods:
            _require(request.auth, _needed_scope(request, view))
        return True


def _needed_scope(request: Request, view: Any) -> str | None:
    return Scope.READ if request.method in SAFE_METHODS else getattr(view, "token_scope", None)


def _require(token: ApiToken, scope: str | None) -> None:
    if scope in token.scopes:
        return
    audit.note("scope_refused", token=token.pk, user=token.owner_id, scope=scope)
    raise TokenNotAllowed if scope is None else InsufficientScope(scope)
