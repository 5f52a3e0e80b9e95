"""The pages for managing voices."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.authentication import signed_in_user
from apps.core.errors import REFUSALS
from apps.core.pages import report_refusals_to, with_error_status
from apps.core.paging import PagesByKey
from apps.voices import services
from apps.voices.consent import valid_consent
from apps.voices.deletion import delete_voice
from apps.voices.forms import CloneForm, RenameForm, SettingsForm
from apps.voices.models import VoiceProfile
from apps.voices.names import suggested_name
from apps.voices.samples import sample_rules

VOICES_PER_PAGE = 20


class VoiceList(View):
    """Lists the person's voices, and clones a new one."""

    def get(self, request: HttpRequest) -> HttpResponse:
        name = suggested_name(owner=signed_in_user(request))
        return self._page(request, CloneForm(initial={"name": name}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = CloneForm(request.POST, request.FILES)
        if not form.is_valid():
            return self._page(request, form, status=422)
        files = [upload.read() for upload in form.cleaned_data["audio"]]
        try:
            voice = services.clone_voice(owner=signed_in_user(request), name=form.cleaned_data["name"], files=files)
        except REFUSALS as error:
            form.add_error("audio", error.message)
            return with_error_status(self._page(request, form), error)
        messages.success(request, _("The voice “%(name)s” is ready.") % {"name": voice.name})
        return redirect("voices:list")

    @staticmethod
    def _page(request: HttpRequest, form: CloneForm, status: int = 200) -> HttpResponse:
        voices = VoiceProfile.objects.for_user(request.user).order_by("-is_default", "-created_at")
        page = PagesByKey(voices.prefetch_related("samples"), VOICES_PER_PAGE).get_page(request.GET.get("page"))
        context: dict[str, Any] = {
            "voices": page.object_list,
            "page_obj": page,
            "consent": valid_consent(owner=signed_in_user(request)),
            "form": form,
            "rules": sample_rules(),
        }
        return render(request, "voices/list.html", context, status=status)


@require_POST
def rename(request: HttpRequest, voice_pk: UUID) -> HttpResponse:
    voice = _own_voice(request, voice_pk)
    form = RenameForm(request.POST, instance=voice)
    if form.is_valid():
        services.rename_voice(voice=voice, name=form.cleaned_data["name"])
        messages.success(request, _("The voice is now called “%(name)s”.") % {"name": voice.name})
    else:
        messages.error(request, _("A voice needs a name of at most 60 characters."))
    return redirect("voices:list")


@require_POST
def change_settings(request: HttpRequest, voice_pk: UUID) -> HttpResponse:
    voice = _own_voice(request, voice_pk)
    form = SettingsForm(request.POST, voice=voice)
    if form.is_valid():
        services.change_settings(voice=voice, settings=form.cleaned_data)
        messages.success(request, _("“%(name)s” now speaks with the new settings.") % {"name": voice.name})
    else:
        messages.error(request, _("The settings were not saved. Move the sliders and save again."))
    return redirect("voices:list")


@require_POST
def make_default(request: HttpRequest, voice_pk: UUID) -> HttpResponse:
    voice = _own_voice(request, voice_pk)
    with report_refusals_to(lambda message: messages.error(request, message)):
        services.make_default(voice=voice)
        messages.success(request, _("“%(name)s” is now your default voice.") % {"name": voice.name})
    return redirect("voices:list")


@require_POST
def retry(request: HttpRequest, voice_pk: UUID) -> HttpResponse:
    voice = _own_voice(request, voice_pk)
    with report_refusals_to(lambda message: messages.error(request, message)):
        services.retry_cloning(voice=voice)
        messages.success(request, _("The voice “%(name)s” is ready.") % {"name": voice.name})
    return redirect("voices:list")


@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, voice_pk: UUID) -> HttpResponse:
    """Show the consequences on GET, delete on POST."""
    voice = _own_voice(request, voice_pk)
    if request.method != "POST":
        return render(request, "voices/delete.html", {"voice": voice})
    with report_refusals_to(lambda message: messages.error(request, message)):
        delete_voice(voice=voice)
        messages.success(request, _("The voice “%(name)s” and its recordings are deleted.") % {"name": voice.name})
    return redirect("voices:list")


def _own_voice(request: HttpRequest, voice_pk: UUID) -> VoiceProfile:
    return get_object_or_404(VoiceProfile.objects.for_user(request.user), pk=voice_pk)
