"""The pages of conversations: talk, history, export."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header, url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.authentication import signed_in_user
from apps.conversations import services
from apps.conversations.export import EXPORTS, export_name
from apps.conversations.forms import TitleForm
from apps.conversations.history import by_day, history_page, rows_of
from apps.conversations.languages import Language
from apps.conversations.lookups import own_conversation, own_conversations
from apps.conversations.models import Conversation, Turn
from apps.conversations.personas import PRESETS
from apps.conversations.search import MAX_FOUND
from apps.core.pages import report_refusals_to
from apps.speech.base import LOCAL, POCKET
from apps.voices.models import VoiceProfile

# What people have to know of an engine that does not speak every language.
LANGUAGE_NOTES = {
    LOCAL: gettext_lazy(
        "The embedded voices speak English, French, Hindi, Italian, Portuguese and Spanish. They pronounce all other "
        "languages as English."
    ),
    POCKET: gettext_lazy("The voices of this site pronounce every text as English."),
}
RECENT_CONVERSATIONS = 15
TURNS_PER_PAGE = 40
# In the addresses of a conversation that is not stored yet; the page's scripts replace it.
PLACEHOLDER_ID = UUID(int=0)


def talk(request: HttpRequest) -> HttpResponse:
    """A new conversation, with the default voice."""
    return render(request, "conversations/talk.html", _talk_context(request, None))


def detail(request: HttpRequest, conversation_pk: UUID) -> HttpResponse:
    """An earlier conversation, which can be continued.

    `?before=` with the id of a turn shows the turns before it, `?turn=` the turns with that one.
    """
    conversation = own_conversation(request, conversation_pk)
    return render(request, "conversations/talk.html", _talk_context(request, conversation))


def _talk_context(request: HttpRequest, conversation: Conversation | None) -> dict[str, Any]:
    voices = list(VoiceProfile.objects.for_user(request.user).that_speak())
    return {
        "voices": voices,
        "selected_voice": _selected_voice(request, conversation, voices),
        "recent": _recent_conversations(request),
        "personas": PRESETS,
        "has_own_persona": bool(conversation and conversation.persona not in ["", *(text for _name, text in PRESETS)]),
        "conversation": conversation,
        "conversation_id": conversation.pk if conversation else PLACEHOLDER_ID,
        "languages": Language.choices,
        "language_note": LANGUAGE_NOTES.get(settings.TEXT_TO_SPEECH, ""),
        "chat_models": services.chat_models(),
        "thinks_here": settings.LANGUAGE_MODEL == LOCAL,
        "voice_note": services.voice_note(),
        "chat_model_note": services.chat_model_note(),
        "max_question_seconds": settings.MAX_QUESTION_SECONDS,
        **(_turns_context(request, conversation) if conversation else {}),
    }


def _recent_conversations(request: HttpRequest) -> list[Conversation]:
    """Return the latest conversations, newest first, with what a list of links needs."""
    mine = Conversation.objects.for_user(request.user).order_by("-updated_at")
    return list(mine.only("pk", "title")[:RECENT_CONVERSATIONS])


def _turns_context(request: HttpRequest, conversation: Conversation) -> dict[str, Any]:
    """Return the latest turns, or the latest ones before the turn that `?before=` names, oldest first."""
    all_turns = Turn.objects.for_user(request.user).filter(conversation=conversation)
    turns = all_turns.filter(replaced_by=None)
    named = _named_turn(request, conversation, "turn")
    before = _named_turn(request, conversation, "before") or _end_of_part(turns, named)
    if before is not None:
        turns = turns.filter(created_at__lt=before.created_at)
    latest = list(turns.order_by("-created_at")[: TURNS_PER_PAGE + 1])
    shown = latest[:TURNS_PER_PAGE][::-1]
    _attach_earlier_versions(shown, all_turns)
    return {
        "turns": shown,
        "has_earlier_turns": len(latest) > TURNS_PER_PAGE,
        "looking_back": before is not None,
        "named_turn": named,
    }


def _end_of_part(turns: QuerySet[Turn], named: Turn | None) -> Turn | None:
    """Return the turn before which a part of the conversation ends that has `named` in its middle.

    None if there is no such turn, or if it is among the latest ones.
    """
    if named is None:
        return None
    later = list(turns.filter(created_at__gt=named.created_at).order_by("created_at")[:TURNS_PER_PAGE])
    return later[TURNS_PER_PAGE // 2] if len(later) == TURNS_PER_PAGE else None


def _attach_earlier_versions(turns: list[Turn], all_turns: QuerySet[Turn]) -> None:
    """Give each of `turns` those whose place it has taken, directly or not, oldest first."""
    earlier: dict[UUID, list[Turn]] = {turn.pk: [] for turn in turns}
    latest: dict[UUID | None, UUID] = {turn.pk: turn.pk for turn in turns}
    found = turns
    while found:  # By their index: a long conversation has few of them.
        found = list(all_turns.filter(replaced_by__in=found))
        for turn in found:
            latest[turn.pk] = latest[turn.replaced_by_id]
            earlier[latest[turn.pk]].append(turn)
    for turn in turns:
        turn.earlier_versions = sorted(earlier[turn.pk], key=lambda each: each.created_at)


def _named_turn(request: HttpRequest, conversation: Conversation, parameter: str) -> Turn | None:
    turns = Turn.objects.for_user(request.user).filter(conversation=conversation)
    try:
        return turns.filter(pk=request.GET.get(parameter, "")).first()
    except ValidationError:  # This is not a UUID.
        return None


def _selected_voice(
    request: HttpRequest, conversation: Conversation | None, voices: list[VoiceProfile]
) -> VoiceProfile | None:
    """Return the voice to select: the conversation's, the one that a link names, the default, or any."""
    if conversation is not None:
        return conversation.voice if conversation.voice in voices else None
    named = [voice for voice in voices if str(voice.pk) == request.GET.get("voice")]
    default = [voice for voice in voices if voice.is_default]
    return next(iter([*named, *default, *voices]), None)


def history(request: HttpRequest) -> HttpResponse:
    """All conversations, searchable."""
    search = request.GET.get("q", "").strip()
    pinned, page = history_page(signed_in_user(request), search, request.GET.get("page"))
    context = {
        "page_obj": page,
        "search": search,
        "pinned": pinned,
        "days": by_day(page.object_list),
        "newest_only": MAX_FOUND if search and page.paginator.count == MAX_FOUND else None,
    }
    return render(request, "conversations/history.html", context)


@require_POST
def rename(request: HttpRequest, conversation_pk: UUID) -> HttpResponse:
    conversation = own_conversation(request, conversation_pk)
    form = TitleForm(request.POST, instance=conversation)
    if form.is_valid():
        services.change_conversation(conversation=conversation, title=form.cleaned_data["title"])
        messages.success(request, _("The conversation is renamed."))
    else:
        messages.error(request, _("A title has at most 120 characters."))
    return _back(request)


@require_POST
def pin(request: HttpRequest, conversation_pk: UUID) -> HttpResponse:
    """Pin the conversation, or with an empty `pinned` no longer."""
    conversation = own_conversation(request, conversation_pk)
    with report_refusals_to(partial(messages.error, request)):
        services.pin_conversation(conversation=conversation, pinned=bool(request.POST.get("pinned")))
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    """Redirect to the page of the form, which is in `next`, or to the history."""
    address = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(address, allowed_hosts=None):
        return redirect(address)
    return redirect("conversations:history")


@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, conversation_pk: UUID) -> HttpResponse:
    """Ask for confirmation, then delete."""
    conversation = own_conversation(request, conversation_pk)
    if request.method != "POST":
        rows = rows_of(signed_in_user(request), [conversation.pk])
        return render(request, "conversations/delete.html", {"row": rows[conversation.pk]})
    services.delete_conversation(conversation=conversation)
    messages.success(request, _("The conversation and its recordings are deleted."))
    return redirect("conversations:history")


@require_http_methods(["GET", "POST"])
def delete_several(request: HttpRequest) -> HttpResponse:
    """Ask for confirmation, then delete the conversations that `id` names, each of them once."""
    owner = signed_in_user(request)
    named = request.POST if request.method == "POST" else request.GET
    conversations = own_conversations(request, named.getlist("id"))
    if not conversations:
        messages.error(request, _("No conversation was selected. Select at least one, then delete."))
        return redirect("conversations:history")
    if request.method != "POST":
        rows = rows_of(owner, [conversation.pk for conversation in conversations])
        return render(request, "conversations/delete_several.html", {"rows": rows.values()})
    services.delete_conversations(owner=owner, conversations=conversations)
    count = len(conversations)
    text = ngettext("%(count)d conversation is deleted.", "%(count)d conversations are deleted.", count)
    messages.success(request, text % {"count": count})
    return redirect("conversations:history")


@require_safe
def export(request: HttpRequest, conversation_pk: UUID, extension: str) -> HttpResponse:
    """The conversation as a file."""
    conversation = own_conversation(request, conversation_pk)
    if extension not in EXPORTS:
        raise Http404
    content_type, write = EXPORTS[extension]
    turns = Turn.objects.for_user(request.user).filter(conversation=conversation)
    response = HttpResponse(write(conversation, turns), content_type=content_type)
    name = export_name(conversation, extension)
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name)
    return response
