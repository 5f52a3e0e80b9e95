"""Recordings in the admin, for those who may listen to them."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.db.models.fields.files import FieldFile
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from apps.core.audio_response import stored_sound_response
from apps.core.content_access import PLACEHOLDER, may_read_content, record_access
from apps.core.errors import RecordingMissingError


def require_content(request: HttpRequest) -> None:
    """Raise PermissionDenied unless the user may hear and read private content."""
    if not may_read_content(request.user):
        raise PermissionDenied


def sound(
    request: HttpRequest, file: FieldFile, *, owner_id: int | None, kind: str, object_id: object
) -> HttpResponseBase:
    """Answer with a recording, or the part that the player asks for, and record who listens.

    Without its tags, as some players do not skip the one that holds the signature.
    """
    require_content(request)
    if not file:
        raise Http404
    record_access(reader=request.user, owner=owner_id, kind=kind, object_id=object_id)
    try:
        return stored_sound_response(request, file, "audio/flac")
    except RecordingMissingError as error:
        return HttpResponse(error.message, "text/plain; charset=utf-8", status=error.status)


def player(request: HttpRequest, address: str, label: str, *, seconds: float | None = None) -> SafeString | str:
    """Return a player that loads nothing until it is used, or the placeholder."""
    if not may_read_content(request.user):
        return str(PLACEHOLDER)
    length = format_html(' <span class="quiet">{}</span>', _("%(seconds).1f s") % {"seconds": seconds or 0})
    return format_html(
        '<span class="sound"><audio controls preload="none" src="{}" aria-label="{}"></audio>{}</span>',
        address,
        label,
        length if seconds is not None else "",
    )
