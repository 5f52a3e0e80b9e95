from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.audited_admin import AuditedAdmin
from apps.accounts.authentication import signed_in_user
from apps.core.content_access import Kind
from apps.core.read_only_admin import ReadOnlyAdmin
from apps.voices import services
from apps.voices.consent import ATTESTED
from apps.voices.models import Consent, VoiceProfile, VoiceSample

NOTE_CHARACTERS = 300


class VoiceSampleInline(admin.StackedInline[VoiceSample, VoiceProfile]):
    model = VoiceSample
    fields = ["seconds", "rms_db", "peak_db", "speaker_similarity", "sha256", "created_at"]
    readonly_fields = ["seconds", "rms_db", "peak_db", "speaker_similarity", "sha256", "created_at"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class SuspensionForm(ActionForm):
    """The note that the owner of a suspended voice reads."""

    note = forms.CharField(
        label=gettext_lazy("Note to the owner:"),
        max_length=NOTE_CHARACTERS,
        required=False,
    )


@admin.register(VoiceProfile)
class VoiceProfileAdmin(ReadOnlyAdmin):
    """Lists and suspends voices. Only the owner creates, changes or deletes one, because the provider has to follow."""

    list_display = [
        "name",
        "owner",
        "provider",
        "status",
        "suspended_at",
        "error_code",
        "is_default",
        "created_at",
        "last_used_at",
    ]
    list_filter = ["status", "provider", "suspended_by", "created_at"]
    search_fields = ["name", "voice_id", "owner__username", "owner__email"]
    date_hierarchy = "created_at"
    inlines = [VoiceSampleInline]
    action_form = SuspensionForm
    actions = ["suspend", "end_suspension"]

    class Media:
        css = {"all": ["css/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[VoiceProfile]:
        # `list_select_related` has no effect, because the manager already calls `select_related`.
        return super().get_queryset(request).select_related("owner")

    @admin.action(description=gettext_lazy("Suspend immediately"), permissions=["suspend"])
    def suspend(self, request: HttpRequest, voices: QuerySet[VoiceProfile]) -> None:
        note = request.POST.get("note", "")[:NOTE_CHARACTERS]
        # Not written to the admin log, which would keep the name of a voice after its deletion.
        for voice in voices:
            services.suspend_voice(voice=voice, note=note, by=signed_in_user(request))
        self.message_user(request, _("Suspended. The voices can no longer speak."))

    @admin.action(description=gettext_lazy("End the suspension"), permissions=["suspend"])
    def end_suspension(self, request: HttpRequest, voices: QuerySet[VoiceProfile]) -> None:
        for voice in voices:
            services.end_suspension(voice=voice, by=signed_in_user(request))
        self.message_user(request, _("The voices can speak again."))

    def has_suspend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("voices.change_voiceprofile")


@admin.register(Consent)
class ConsentAdmin(AuditedAdmin):
    """Lists consents. Only the owner gives, withdraws or erases one."""

    list_display = ["given_at", "owner", "method", "language", "word_error", "valid_until", "withdrawn_at"]
    list_filter = ["method", "given_at", "withdrawn_at"]
    list_select_related = ["owner"]
    search_fields = ["owner__username", "owner__email", "sha256"]
    date_hierarchy = "given_at"
    private_fields = ("statement", "transcript", "clip")
    content_kind = Kind.CONSENT

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, str] | None = None) -> HttpResponse:
        if settings.CONSENT == ATTESTED:
            text = _("This site accepts consents without a recording (CONSENT=attested): nothing proves who gave them.")
            messages.warning(request, text)
        return super().changelist_view(request, extra_context)
