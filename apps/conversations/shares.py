"""Links with which anybody can hear one answer: made, listed and revoked by their owner."""

from __future__ import annotations

import logging
import secrets
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.accounts.services import lock_user
from apps.conversations.marking import open_answer_mp3
from apps.conversations.models import Share, Turn
from apps.core.digests import digest_of
from apps.core.errors import UserError
from apps.core.rate_limits import Limit, network_of, wait_text
from apps.voices.services import require_ready

logger = logging.getLogger(__name__)

LIFETIMES = (1, 7, 30)  # days
DEFAULT_DAYS = 7
MAX_SHARES = 50
SECRET_BYTES = 32
MADE_PER_OWNER = Limit("links", 30, 3600)
# A player asks for several parts of the sound.
OPENED_PER_NETWORK = Limit("opened links", 300, 3600)


def create_share(*, turn: Turn, days: int = DEFAULT_DAYS, with_text: bool = False) -> tuple[Share, str]:
    """Store a link to the answer of `turn`. Return it with its secret, which cannot be shown again.

    Raises UserError if there is no answer, if its voice may not speak, or if the owner has made too many links; also
    RecordingMissingError and MarkError, since the MP3 is made now.
    """
    if turn.status not in (Turn.Status.SPOKEN, Turn.Status.INTERRUPTED) or not turn.answer:
        raise UserError("audio_not_found", _("This turn has no sound that could be shared."), status=409)
    if turn.voice is None:
        text = _("The voice of this answer was deleted, so that the answer can no longer be shared.")
        raise UserError("voice_not_found", text, status=409)
    require_ready(voice=turn.voice)
    _require_within_limit(turn.owner)
    open_answer_mp3(turn=turn).close()
    secret = secrets.token_urlsafe(SECRET_BYTES)
    with transaction.atomic():
        lock_user(pk=turn.owner_id)
        _require_room(turn.owner)
        now = timezone.now()
        share = Share.objects.create(
            owner=turn.owner,
            turn=turn,
            digest=digest_of(secret),
            with_text=with_text,
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
    logger.info("An answer was shared", extra={"share": str(share.pk), "turn": str(turn.pk), "user": turn.owner_id})
    return share, secret


def _require_within_limit(owner: User) -> None:
    wait = MADE_PER_OWNER.take(str(owner.pk)) if settings.LIMITS else 0
    if wait:
        text = _("You have made many links in a short time. Wait %(time)s, then try again.")
        raise _too_many(text % {"time": wait_text(wait)}, wait)


def _require_room(owner: User) -> None:
    if Share.objects.for_user(owner).unexpired().count() >= MAX_SHARES:
        text = _("You have %(count)d links, which is the maximum. Revoke one that you no longer need.")
        raise UserError("too_many_shares", text % {"count": MAX_SHARES}, status=409)


def _too_many(text: str, wait: int) -> UserError:
    return UserError("too_many_shares", text, status=429, headers={"Retry-After": str(wait)})


def revoke_share(*, share: Share) -> None:
    """Delete the link: from now on it leads nowhere."""
    pk = str(share.pk)
    share.delete()
    logger.info("A shared link was revoked", extra={"share": pk})


def open_share(*, secret: str, address: str) -> Share | None:
    """Return the link with this secret, with its turn, if it works now.

    `address` is the visitor's IP address. Raises UserError (429) if too many links are opened from its network.
    """
    wait = OPENED_PER_NETWORK.take(network_of(address)) if settings.LIMITS else 0
    if wait:
        text = _("Too many shared answers were opened from your network. Wait %(time)s, then try again.")
        raise _too_many(text % {"time": wait_text(wait)}, wait)
    found = Share.objects.filter(digest=digest_of(secret)).select_related("owner", "turn__voice__consent").first()
    return found if found is not None and found.can_be_heard else None
