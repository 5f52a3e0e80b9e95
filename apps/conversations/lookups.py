"""Looks up the caller's conversations and turns; a foreign id raises Http404."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework.request import Request

from apps.accounts.idempotency import key_in_use
from apps.accounts.models import IdempotencyKey
from apps.conversations.models import RUNNING, Conversation, Turn

# A turn is stored while its question is already being transcribed; one that is missing after this time was deleted.
STORED_WITHIN = timedelta(seconds=30)
MAX_NAMED = 100
UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def own_conversation(request: HttpRequest | Request, conversation_pk: UUID) -> Conversation:
    """Return a conversation of the caller's with its voice. Raises Http404."""
    conversations = Conversation.objects.for_user(request.user).select_related("voice__consent")
    return get_object_or_404(conversations, pk=conversation_pk)


def own_conversations(request: HttpRequest, ids: Iterable[str]) -> list[Conversation]:
    """Return those of the caller's conversations that `ids` name, the latest one first, and at most MAX_NAMED."""
    pks = [UUID(text) for text in list(ids)[:MAX_NAMED] if UUID_TEXT.fullmatch(text)]
    return list(Conversation.objects.for_user(request.user).filter(pk__in=pks).order_by("-updated_at"))


def own_turn(request: HttpRequest | Request, turn_pk: UUID) -> Turn:
    """Return a turn of the caller's with its voice and conversation. Raises Http404."""
    turns = Turn.objects.for_user(request.user).select_related("voice__consent", "conversation")
    return get_object_or_404(turns, pk=turn_pk)


def turn_of_key(request: Request, row: IdempotencyKey) -> Turn:
    """Return the turn that the first request with this key created.

    Raises UserError (409) while it runs, and Http404 if it was deleted.
    """
    turn = Turn.objects.for_user(request.user).filter(pk=row.made).first()
    if turn is None and timezone.now() - row.claimed_at > STORED_WITHIN:
        raise Http404
    if turn is None or turn.status in RUNNING:
        raise key_in_use()
    return turn
