from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from apps.accounts.audited_admin import AuditedAdmin
from apps.accounts.authentication import signed_in_user
from apps.core.admin_actions import Question, ask, is_confirmed, note_action
from apps.core.admin_filters import OwnerFilter
from apps.core.admin_sound import player, require_content, sound
from apps.core.audio_response import audio_response
from apps.core.content_access import Kind, may_read_content, record_access
from apps.core.errors import REFUSALS
from apps.core.owned import owner_is_like
from apps.core.read_only_admin import ReadOnlyAdmin
from apps.voices import services
from apps.voices.consent import ATTESTED
from apps.voices.deletion import delete_voices
from apps.voices.models import Consent, VoiceProfile, VoiceSample
from apps.voices.provider_check import Checked, check_at_provider
from apps.voices.suspension import end_suspension, suspend_voice

REASON_CHARACTERS = 300
MISSING_SHOWN = 10

SUSPEND = Question(
    action="suspend",
    title=gettext_lazy("Suspend voices"),
    text=gettext_lazy("These voices stop speaking at once, also in the middle of an answer:"),
    button=gettext_lazy("Suspend"),
    is_destructive=True,
)
DELETE = Question(
    action="delete_voices",
    title=gettext_lazy("Delete voices"),
    text=gettext_lazy("These voices and their samples are deleted here and at their providers. This cannot be undone:"),
    button=gettext_lazy("Delete"),
    is_destructive=True,
)


class SuspensionForm(forms.Form):
    """The reason, which the owners of the suspended voices read."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        help_text=gettext_lazy("The owner reads it wherever the voice does not speak."),
        max_length=REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
    )


class VoiceSampleInline(admin.TabularInline[VoiceSample, VoiceProfile]):
    model = VoiceSample
    fields = readonly_fields = ("sound", "seconds_shown", "level", "speaker_similarity", "created_at", "digest")
    extra = 0
    can_delete = False

    def get_formset(self, request: HttpRequest, obj: VoiceProfile | None = None, **kwargs: Any) -> Any:
        self.request = request  # An inline lives as long as its request.
        return super().get_formset(request, obj, **kwargs)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("recording"))
    def sound(self, sample: VoiceSample) -> str:
        address = reverse("admin:voices_voiceprofile_sample", args=[sample.voice_id, sample.pk])
        return player(self.request, address, _("Sample"))

    @admin.display(description=gettext_lazy("length"))
    def seconds_shown(self, sample: VoiceSample) -> str:
        return _("%(seconds).1f s") % {"seconds": sample.seconds}

    @admin.display(description=gettext_lazy("SHA-256 of the upload"))
    def digest(self, sample: VoiceSample) -> str:
        return f"{sample.sha256[:12]}…"

    @admin.display(description=gettext_lazy("level / peak"))
    def level(self, sample: VoiceSample) -> str:
        return f"{sample.rms_db:.0f} / {sample.peak_db:.0f} dB"


class LookAtFilter(admin.SimpleListFilter):
    """Voices that need somebody's attention."""

    title = gettext_lazy("what to look at")
    parameter_name = "look"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("missing", gettext_lazy("Missing at the provider (last check)")),
            ("no_id", gettext_lazy("Ready, but without a voice at the provider")),
            ("no_samples", gettext_lazy("Without samples")),
            ("deleting", gettext_lazy("Waiting for deletion")),
            ("idle", gettext_lazy("Idle: deletion announced")),
        ]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[VoiceProfile]) -> QuerySet[VoiceProfile]:
        match self.value():
            case "missing":
                return queryset.filter(is_missing=True)
            case "no_id":
                return queryset.filter(status=VoiceProfile.Status.READY, voice_id="")
            case "no_samples":
                return queryset.exclude(Exists(VoiceSample.objects.filter(voice=OuterRef("pk"))))
            case "deleting":
                return queryset.filter(status=VoiceProfile.Status.DELETING)
            case "idle":
                return queryset.filter(idle_notice_at__isnull=False)
        return queryset


@admin.register(VoiceProfile)
class VoiceProfileAdmin(ReadOnlyAdmin):
    """Voices. Staff suspend, check and delete them; only the owner creates or changes one."""

    list_display = [
        "name",
        "owner",
        "provider",
        "state",
        "consent_state",
        "samples_shown",
        "level",
        "similarity",
        "spoken_characters",
        "last_used_at",
        "created_at",
    ]
    list_filter = [LookAtFilter, OwnerFilter, "status", "provider", "suspended_by", "created_at"]
    search_fields = ["name", "voice_id"]  # Shows the field; `get_search_results` looks for more.
    date_hierarchy = "created_at"
    inlines = [VoiceSampleInline]
    actions = ["suspend", "end_suspension", "look_at_provider", "delete_voices"]
    fieldsets = [
        (None, {"fields": ["name", "owner_link", "provider", "voice_id", "status", "error"]}),
        (gettext_lazy("Use"), {"fields": ["last_used_at", "spoken_characters", "is_default", "created_at"]}),
        (gettext_lazy("Suspension"), {"fields": ["suspended_at", "suspended_by", "suspension_note"]}),
        (gettext_lazy("At the provider"), {"fields": ["at_provider", "idle_notice_at"]}),
        (gettext_lazy("Consent"), {"fields": ["consent_state", "consent_link"]}),
    ]
    change_form_template = "admin/voices/voiceprofile/change_form.html"

    class Media:
        css = {"all": ["css/admin.css"]}
        js = [forms.Script("js/admin-preview.js", type="module")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[VoiceProfile]:
        # `list_select_related` has no effect, because the manager already calls `select_related`.
        return super().get_queryset(request).select_related("owner").prefetch_related("samples")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        for word in search_term.split()[:8]:
            queryset = queryset.filter(owner_is_like(word) | Q(name__icontains=word) | Q(voice_id__icontains=word))
        return queryset, False

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def state(self, voice: VoiceProfile) -> str:
        if voice.suspended_at is not None:
            return format_html('<strong class="state bad">{}</strong>', _("suspended"))
        kind = {VoiceProfile.Status.READY: "good", VoiceProfile.Status.FAILED: "bad"}.get(voice.status, "quiet")  # type: ignore[call-overload]
        code = f" ({voice.error_code})" if voice.error_code else ""
        return format_html('<span class="state {}">{}{}</span>', kind, voice.get_status_display(), code)

    @admin.display(description=gettext_lazy("consent"))
    def consent_state(self, voice: VoiceProfile) -> str:
        consent = voice.consent
        if consent.withdrawn_at is not None:
            return format_html('<span class="state bad">{}</span>', _("withdrawn"))
        if not consent.is_valid:
            return format_html('<span class="state bad">{}</span>', _("expired"))
        return f"{consent.get_method_display()}, {consent.given_at:%Y-%m-%d}"

    @admin.display(description=gettext_lazy("samples"))
    def samples_shown(self, voice: VoiceProfile) -> str:
        count = len(voice.samples.all())
        return _("%(count)d, %(seconds).0f s") % {"count": count, "seconds": voice.sample_seconds} if count else "–"

    @admin.display(description=gettext_lazy("level / peak"))
    def level(self, voice: VoiceProfile) -> str:
        """The level of the quietest sample, and the highest peak."""
        samples = voice.samples.all()
        if not samples:
            return "–"
        return f"{min(each.rms_db for each in samples):.0f} / {max(each.peak_db for each in samples):.0f} dB"

    @admin.display(description=gettext_lazy("similarity"))
    def similarity(self, voice: VoiceProfile) -> str:
        """That of the sample that is least like the consent's speaker."""
        known = [each.speaker_similarity for each in voice.samples.all() if each.speaker_similarity is not None]
        return f"{min(known):.2f}" if known else "–"

    @admin.display(description=gettext_lazy("owner"))
    def owner_link(self, voice: VoiceProfile) -> str:
        address = reverse("admin:accounts_user_change", args=[voice.owner_id])
        return format_html('<a href="{}">{}</a>', address, voice.owner)

    @admin.display(description=gettext_lazy("latest check"))
    def at_provider(self, voice: VoiceProfile) -> str:
        if voice.checked_at is None:
            return _("not checked yet")
        found = _("missing") if voice.is_missing else _("present")
        kind = "bad" if voice.is_missing else "good"
        time = date_format(timezone.localtime(voice.checked_at), "DATETIME_FORMAT")
        return format_html('<span class="state {}">{}</span>, {}', kind, found, time)

    @admin.display(description=gettext_lazy("error"))
    def error(self, voice: VoiceProfile) -> str:
        return f"{voice.error_code}: {voice.error_message}" if voice.error_code else "–"

    @admin.display(description=gettext_lazy("record"))
    def consent_link(self, voice: VoiceProfile) -> str:
        address = reverse("admin:voices_consent_change", args=[voice.consent_id])
        return format_html('<a href="{}">{}</a>', address, voice.consent)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "may_read_content": may_read_content(request.user),
            "may_suspend": self.has_suspend_permission(request),
            "may_delete": self.has_remove_permission(request),
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    @admin.action(description=gettext_lazy("Suspend…"), permissions=["suspend"])
    def suspend(self, request: HttpRequest, voices: QuerySet[VoiceProfile]) -> HttpResponse | None:
        form = SuspensionForm(request.POST if is_confirmed(request) else None)
        if not is_confirmed(request) or not form.is_valid():
            return ask(request, self, voices, SUSPEND, form)
        chosen = list(voices)
        for voice in chosen:
            suspend_voice(voice=voice, note=form.cleaned_data["reason"], by=signed_in_user(request))
        note_action(request, chosen, "Suspended.")
        self.message_user(request, _("Suspended. The voices can no longer speak."), messages.SUCCESS)
        return None

    @admin.action(description=gettext_lazy("Allow to speak again"), permissions=["suspend"])
    def end_suspension(self, request: HttpRequest, voices: QuerySet[VoiceProfile]) -> None:
        chosen = list(voices)
        freed = [voice for voice in chosen if end_suspension(voice=voice, by=signed_in_user(request))]
        note_action(request, freed, "Allowed to speak again.")
        if freed:
            text = ngettext("%(count)d voice can speak again.", "%(count)d voices can speak again.", len(freed))
            self.message_user(request, text % {"count": len(freed)}, messages.SUCCESS)
        others = len(chosen) - len(freed)
        if others:
            text = ngettext(
                "%(count)d voice was not suspended by the operator and stays as it is.",
                "%(count)d voices were not suspended by the operator and stay as they are.",
                others,
            )
            self.message_user(request, text % {"count": others}, messages.WARNING)

    @admin.action(description=gettext_lazy("Delete, also at the provider…"), permissions=["remove"])
    def delete_voices(self, request: HttpRequest, voices: QuerySet[VoiceProfile]) -> HttpResponse | None:
        if not is_confirmed(request):
            return ask(request, self, voices, DELETE)
        chosen = list(voices)
        delete_voices(voices=chosen, by=signed_in_user(request))
        note_action(request, chosen, "Deleted, also at the provider.")
        text = ngettext("%(count)d voice is being deleted.", "%(count)d voices are being deleted.", len(chosen))
        self.message_user(request, text % {"count": len(chosen)}, messages.SUCCESS)
        return None

    @admin.action(description=gettext_lazy("Check at the provider"), permissions=["suspend"])
    def look_at_provider(self, request: HttpRequest, voices: QuerySet[VoiceProfile]) -> None:
        chosen = list(voices)
        _report(request, check_at_provider(voices=chosen))
        note_action(request, chosen, "Checked at the provider.")

    def has_suspend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("voices.change_voiceprofile")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Whether the user may delete voices by the action: Django's own deletion would leave them at the provider."""
        return request.user.has_perm("voices.delete_voiceprofile")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:voice_pk>/samples/<int:sample_pk>/", view(self.sample), name="voices_voiceprofile_sample"),
            path("<uuid:voice_pk>/consent/", view(self.consent_clip), name="voices_voiceprofile_consent"),
            path("<uuid:voice_pk>/preview/", view(require_POST(self.preview)), name="voices_voiceprofile_preview"),
            *super().get_urls(),
        ]

    def sample(self, request: HttpRequest, voice_pk: UUID, sample_pk: int) -> HttpResponseBase:
        voice = self._voice(request, voice_pk)
        sample = get_object_or_404(voice.samples, pk=sample_pk)
        return sound(request, sample.file, owner_id=sample.owner_id, kind=Kind.SAMPLE, object_id=sample.pk)

    def consent_clip(self, request: HttpRequest, voice_pk: UUID) -> HttpResponseBase:
        consent = self._voice(request, voice_pk).consent
        return sound(request, consent.clip, owner_id=consent.owner_id, kind=Kind.CONSENT_CLIP, object_id=consent.pk)

    def preview(self, request: HttpRequest, voice_pk: UUID) -> HttpResponseBase:
        """Answer with a sentence that the voice speaks now, as MP3. The administrator's own limits count it."""
        voice = self._voice(request, voice_pk)
        require_content(request)
        text = request.POST.get("text", "").strip()[: services.PREVIEW_MAX_CHARACTERS] or _("This is a preview.")
        record_access(reader=request.user, owner=voice.owner_id, kind=Kind.PREVIEW, object_id=voice.pk)
        try:
            mp3 = services.speak_preview(voice=voice, text=text, by=signed_in_user(request))
        except REFUSALS as error:
            return HttpResponse(error.message, "text/plain; charset=utf-8", status=getattr(error, "status", 502))
        return audio_response(request, mp3, "audio/mpeg")

    def _voice(self, request: HttpRequest, pk: UUID) -> VoiceProfile:
        voice: VoiceProfile = get_object_or_404(self.get_queryset(request), pk=pk)
        if not self.has_view_permission(request, voice):
            raise PermissionDenied
        return voice


def _report(request: HttpRequest, checked: Checked) -> None:
    """Say what a check has found."""
    for provider, message in checked.unanswered.items():
        text = _("%(provider)s: %(message)s")
        messages.error(request, text % {"provider": VoiceProfile.Provider(provider).label, "message": message})
    if checked.present:
        count = len(checked.present)
        text = ngettext("%(count)d voice is at its provider.", "%(count)d voices are at their providers.", count)
        messages.success(request, text % {"count": count})
    if checked.missing:
        names = ", ".join(f"{voice.name} ({voice.owner})" for voice in checked.missing[:MISSING_SHOWN])
        count = len(checked.missing)
        text = ngettext(
            "%(count)d voice is missing at its provider: %(names)s. Its owner has to clone it again.",
            "%(count)d voices are missing at their providers, among them: %(names)s. Their owners have to clone them "
            "again.",
            count,
        )
        messages.warning(request, text % {"count": count, "names": names})
    if checked.without_id:
        text = _("%(count)d of these have no voice at a provider, because they were never cloned completely.")
        messages.info(request, text % {"count": len(checked.without_id)})
    if checked.strays:
        text = _(
            "%(count)d more voices at these providers were made here, but belong to nobody any more. "
            "`manage.py reconcile` deletes them."
        )
        messages.warning(request, text % {"count": checked.strays})


@admin.register(Consent)
class ConsentAdmin(AuditedAdmin):
    """Lists consents. Only the owner gives, withdraws or erases one."""

    list_display = ["given_at", "owner", "method", "language", "word_error", "valid_until", "withdrawn_at"]
    list_filter = ["method", "given_at", "withdrawn_at"]
    list_select_related = ["owner"]
    search_fields = ["owner__username", "owner__email", "sha256"]
    date_hierarchy = "given_at"
    exclude = ["clip"]
    private_fields = ("statement", "transcript", "clip")
    content_kind = Kind.CONSENT

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, str] | None = None) -> HttpResponse:
        if settings.CONSENT == ATTESTED:
            text = _("This site accepts consents without a recording (CONSENT=attested): nothing proves who gave them.")
            messages.warning(request, text)
        return super().changelist_view(request, extra_context)
