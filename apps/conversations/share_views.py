"""The pages of shared answers: where their owner makes and revokes links, and where anybody hears them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from allauth.account.adapter import get_adapter
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from apps.conversations.lookups import own_turn
from apps.conversations.marking import open_answer_mp3
from apps.conversations.models import Share, Turn
from apps.conversations.shares import DEFAULT_DAYS, LIFETIMES, create_share, open_share, revoke_share
from apps.core.audio_response import audio_response
from apps.core.errors import RecordingMissingError, UserError
from apps.core.links import absolute_url
from apps.core.pages import report_refusals_to, with_error_status

SHARES_PER_PAGE = 50
PLAIN_TEXT = "text/plain; charset=utf-8"


def day_choices() -> list[tuple[int, str]]:
    return [(days, ngettext("%(days)d day", "%(days)d days", days) % {"days": days}) for days in LIFETIMES]


class ShareForm(forms.Form):
    """The choices for a new link."""

    days = forms.TypedChoiceField(
        label=gettext_lazy("The link works for"),
        coerce=int,
        choices=day_choices,
        initial=DEFAULT_DAYS,
        widget=forms.RadioSelect,
    )
    with_text = forms.BooleanField(label=gettext_lazy("Show the question and the answer as text, too"), required=False)


@method_decorator(never_cache, "dispatch")
class ShareAnswer(View):
    """Make a link to an answer. The response to the form shows it: a redirect would have to store its secret."""

    def get(self, request: HttpRequest, turn_pk: UUID) -> HttpResponse:
        return self._page(request, own_turn(request, turn_pk), ShareForm())

    def post(self, request: HttpRequest, turn_pk: UUID) -> HttpResponse:
        turn, form = own_turn(request, turn_pk), ShareForm(request.POST)
        address = self._create(request, turn, form) if form.is_valid() else ""
        if address:
            return self._page(request, turn, ShareForm(), address=address)
        return self._page(request, turn, form, status=422)

    @staticmethod
    def _create(request: HttpRequest, turn: Turn, form: ShareForm) -> str:
        with report_refusals_to(lambda message: form.add_error(None, message)):
            _share, secret = create_share(turn=turn, **form.cleaned_data)
            return absolute_url(request, reverse("conversations:shared", args=[secret]))
        return ""

    @staticmethod
    def _page(request: HttpRequest, turn: Turn, form: ShareForm, status: int = 200, **context: Any) -> HttpResponse:
        links = Share.objects.for_user(request.user).unexpired().filter(turn=turn)
        context = {"turn": turn, "form": form, "links": links, **context}
        return render(request, "conversations/share.html", context, status=status)


@require_safe
def shares(request: HttpRequest) -> HttpResponse:
    """The person's links that have not expired."""
    links = Share.objects.for_user(request.user).unexpired()
    shown = links.select_related("owner", "turn__voice__consent", "turn__conversation")
    page = Paginator(shown, SHARES_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "conversations/shares.html", {"page_obj": page})


@require_POST
def revoke(request: HttpRequest, share_pk: UUID) -> HttpResponse:
    revoke_share(share=get_object_or_404(Share.objects.for_user(request.user), pk=share_pk))
    messages.success(request, _("The link is revoked. It leads nowhere from now on."))
    return redirect("conversations:shares")


@login_not_required
@require_safe
def shared(request: HttpRequest, secret: str) -> HttpResponseBase:
    """The page of a shared answer, for anybody who has the link."""
    try:
        share = open_share(secret=secret, address=get_adapter().get_client_ip(request))
    except UserError as error:
        return _unlisted(with_error_status(render(request, "429.html", {"message": error.message}), error))
    if share is None:
        return _unlisted(render(request, "conversations/share_gone.html", status=404))
    return _unlisted(
        render(request, "conversations/shared.html", {"share": share, "turn": share.turn, "secret": secret})
    )


@login_not_required
@require_safe
def shared_sound(request: HttpRequest, secret: str) -> HttpResponseBase:
    """The shared answer as MP3, marked as made by AI, also as a download with `?download`."""
    try:
        share = open_share(secret=secret, address=get_adapter().get_client_ip(request))
        mp3 = open_answer_mp3(turn=share.turn) if share else None
    except RecordingMissingError:
        mp3 = None
    except UserError as error:
        return _unlisted(with_error_status(HttpResponse(error.message, PLAIN_TEXT), error))
    if mp3 is None:
        text = _("This link does not work any more.")
        return _unlisted(HttpResponse(text, PLAIN_TEXT, status=404))
    name = "answer-made-by-ai.mp3" if "download" in request.GET else ""
    response = audio_response(request, mp3, "audio/mpeg", name)
    response["X-AI-Generated"] = "true"
    return _unlisted(response)


def _unlisted(response: HttpResponseBase) -> HttpResponseBase:
    """Keep the link out of search engines and caches, and out of what other sites learn about their visitors."""
    response["Cache-Control"] = "private, no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    return response
