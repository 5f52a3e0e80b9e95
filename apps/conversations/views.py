"""The pages on which people talk and look back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.authentication import signed_in_user
from apps.conversations import services
from apps.conversations.forms import TitleForm
from apps.conversations.models import Conversation, Turn
from apps.voices.models import VoiceProfile

CONVERSATIONS_PER_PAGE = 20


def talk(request: HttpRequest) -> HttpResponse:
    """A new conversation, with the default voice."""
    return render(request, "conversations/talk.html", _talk_context(request, None))


def detail(request: HttpRequest, conversation_pk: UUID) -> HttpResponse:
    """An earlier conversation, which can go on."""
    conversation = _own_conversation(request, conversation_pk)
    return render(request, "conversations/talk.html", _talk_context(request, conversation))


def _talk_context(request: HttpRequest, conversation: Conversation | None) -> dict[str, Any]:
    voices = VoiceProfile.objects.for_user(request.user).filter(status=VoiceProfile.Status.READY)
    turns = Turn.objects.for_user(request.user).filter(conversation=conversation) if conversation else []
    return {
        "voices": voices,
        "selected_voice": _selected_voice(request, conversation, list(voices)),
        "conversation": conversation,
        "turns": turns,
        "max_question_seconds": settings.MAX_QUESTION_SECONDS,
    }


def _selected_voice(
    request: HttpRequest, conversation: Conversation | None, voices: list[VoiceProfile]
) -> VoiceProfile | None:
    """Return the voice to begin with: the conversation's, the one that a link names, the default, any."""
    if conversation is not None:
        return conversation.voice if conversation.voice in voices else None
    named = [voice for voice in voices if str(voice.pk) == request.GET.get("voice")]
    default = [voice for voice in voices if voice.is_default]
    return next(iter([*named, *default, *voices]), None)


def history(request: HttpRequest) -> HttpResponse:
    """All conversations, searchable."""
    search = request.GET.get("q", "").strip()
    conversations = services.search_conversations(owner=signed_in_user(request), words=search)
    counted = conversations.annotate(turn_count=Count("turns")).order_by("-updated_at")  # Counting drops the order.
    page = Paginator(counted, CONVERSATIONS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "conversations/history.html", {"page_obj": page, "search": search})


@require_POST
def rename(request: HttpRequest, conversation_pk: UUID) -> HttpResponse:
    conversation = _own_conversation(request, conversation_pk)
    form = TitleForm(request.POST, instance=conversation)
    if form.is_valid():
        services.change_conversation(conversation=conversation, title=form.cleaned_data["title"])
        messages.success(request, _("The conversation is renamed."))
    else:
        messages.error(request, _("A title has at most 120 characters."))
    return redirect("conversations:history")


@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, conversation_pk: UUID) -> HttpResponse:
    """Ask first, then delete."""
    conversation = _own_conversation(request, conversation_pk)
    if request.method != "POST":
        return render(request, "conversations/delete.html", {"conversation": conversation})
    services.delete_conversation(conversation=conversation)
    messages.success(request, _("The conversation and its recordings are deleted."))
    return redirect("conversations:history")


def _own_conversation(request: HttpRequest, conversation_pk: UUID) -> Conversation:
    return get_object_or_404(Conversation.objects.for_user(request.user).select_related("voice"), pk=conversation_pk)
