"""The page for giving, hearing and withdrawing a consent."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from apps.accounts.authentication import signed_in_user
from apps.core.errors import REFUSALS, UserError
from apps.core.pages import with_error_status
from apps.voices import consent as services
from apps.voices.forms import AttestationForm, NameForm, SpokenConsentForm
from apps.voices.models import Consent, VoiceProfile
from apps.voices.statements import attested_statement


@method_decorator(never_cache, "dispatch")
class ConsentPage(View):
    """Shows the statement to read aloud or to confirm, and the earlier consents."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, self._form())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = self._form(request.POST, request.FILES)
        if not form.is_valid():
            return self._page(request, form, status=422)
        try:
            self._give(request, form)
        except REFUSALS as error:
            form.add_error("audio", error.message)
            passages = error.details.get("words") if isinstance(error, UserError) else None
            return with_error_status(self._page(request, form, passages=passages), error)
        messages.success(request, _("Your consent is recorded. Now record your voice."))
        return redirect(reverse("voices:list") + "#new-voice")

    @staticmethod
    def _form(*data: Any) -> AttestationForm | SpokenConsentForm:
        return AttestationForm(*data) if settings.CONSENT == services.ATTESTED else SpokenConsentForm(*data)

    @staticmethod
    def _give(request: HttpRequest, form: AttestationForm | SpokenConsentForm) -> None:
        owner = signed_in_user(request)
        if isinstance(form, AttestationForm):
            services.attest(owner=owner, name=form.cleaned_data["name"])
        else:
            data = form.cleaned_data["audio"].read()
            services.give_consent(owner=owner, challenge_pk=form.cleaned_data["challenge"], data=data)

    @staticmethod
    def _page(
        request: HttpRequest, form: AttestationForm | SpokenConsentForm, *, status: int = 200, passages: Any = None
    ) -> HttpResponse:
        owner = signed_in_user(request)
        name = _chosen_name(request)
        consent = services.valid_consent(owner=owner)
        context: dict[str, Any] = {
            "number": None if consent else 1,  # The step on the way to a first voice.
            "form": form,
            "passages": passages,
            "name": name,
            "max_name_characters": services.MAX_NAME_CHARACTERS,
            "consent": consent,
            "consents": Consent.objects.for_user(owner),
            "withdrawable": Consent.objects.for_user(owner).filter(withdrawn_at=None).first(),
            "voice_count": VoiceProfile.objects.for_user(owner).count(),
            "valid_days": settings.CONSENT_VALID_DAYS,
            "max_seconds": services.MAX_CLIP_SECONDS,
        }
        if isinstance(form, AttestationForm):
            context |= {
                "consent_step": "voices/attestation.html",
                "statement": attested_statement(name=name, language="en"),
            }
        else:
            # After a failure that is not the fault of the recording, the same recording can be sent again.
            challenge_pk = form.cleaned_data.get("challenge") if form.is_bound else None
            context |= {
                "consent_step": "voices/statement.html",
                "challenge": services.challenge_to_read(owner=owner, name=name, earlier_pk=challenge_pk),
            }
        return render(request, "voices/consent.html", context, status=status)


def _chosen_name(request: HttpRequest) -> str:
    """Return the name for the statement: from the form or the address, otherwise the account's."""
    form = NameForm(request.POST or request.GET)
    chosen: str = form.cleaned_data["name"] if form.is_valid() else ""
    return chosen or services.display_name(signed_in_user(request))


@require_POST
def withdraw(request: HttpRequest, consent_pk: UUID) -> HttpResponse:
    consent = get_object_or_404(Consent.objects.for_user(request.user), pk=consent_pk)
    services.withdraw_consent(consent=consent)
    messages.success(request, _("Your consent is withdrawn. Your voices can no longer speak and are being deleted."))
    return redirect("voices:consent")
