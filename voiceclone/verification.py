"""`/verify`: what a sound file says of where it comes from, for everybody who asks, on a page and in the API."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allauth.account.adapter import get_adapter
from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import View
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.rate_limits import Limit, network_of
from apps.speech import registry
from apps.speech.inspection import Finding, UnreadableError, Verdict, inspect_apart
from apps.voices.models import VoiceProfile
from voiceclone.errors import UserError
from voiceclone.views import as_refused

FILES_OF_AN_ADDRESS = Limit("verify", 60, 3600)
AT_ONCE = 2  # Each takes a process and up to 10 seconds of a processor.
PATIENCE_SECONDS = 10
_places = threading.BoundedSemaphore(AT_ONCE)

TITLES = {
    Verdict.MADE_HERE: gettext_lazy("Made here, by AI"),
    Verdict.ALTERED: gettext_lazy("Changed since it was signed"),
    Verdict.ELSEWHERE: gettext_lazy("Signed by somebody else"),
    Verdict.TAGGED: gettext_lazy("Tagged as made by AI"),
    Verdict.UNMARKED: gettext_lazy("No mark found"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A finding, and what it means in words."""

    finding: Finding
    title: str
    message: str
    facts: list[tuple[str, str]]


def verify(*, upload: UploadedFile[Any], address: str) -> Answer:
    """Examine a file for whoever asks from `address`; nothing of it is kept. Raises UserError."""
    _count(address)
    marker = registry.marker()
    if not _places.acquire(timeout=PATIENCE_SECONDS):
        text = _("Many files are being examined right now. Try again in a moment.")
        raise UserError("busy", text, status=503, headers={"Retry-After": str(PATIENCE_SECONDS)})
    try:
        with tempfile.TemporaryFile() as file:  # It has no name, and is gone with this block.
            for chunk in upload.chunks():
                file.write(chunk)
            finding = inspect_apart(file, roots=marker.roots, serial_numbers=marker.serial_numbers)
    except UnreadableError:
        text = _("This can not be read as a sound file. Choose a FLAC, MP3, WAV, M4A, Ogg or WebM file.")
        raise UserError("file_unreadable", text, status=422) from None
    finally:
        _places.release()
    return Answer(finding, str(TITLES[finding.verdict]), _message(finding), _facts(finding))


def _count(address: str) -> None:
    wait = FILES_OF_AN_ADDRESS.take(network_of(address)) if settings.LIMITS else 0
    if wait:
        text = _("Too many files were sent from your network. Wait %(minutes)d minutes, then try again.")
        message = text % {"minutes": -(-wait // 60)}
        raise UserError("too_many_files", message, status=429, headers={"Retry-After": str(wait)})


def _message(finding: Finding) -> str:
    match finding.verdict, finding.signed_here:
        case Verdict.MADE_HERE, _here:
            return _(
                "An AI spoke this on this site, in the cloned voice of a person who consented to that. The file is "
                "exactly as it left the site."
            )
        case Verdict.ALTERED, True:
            return _(
                "An AI spoke this on this site, in the cloned voice of a person who consented to that. But the file "
                "was changed afterwards: what you hear need not be what was made here."
            )
        case Verdict.ALTERED, False:
            return _(
                "The file was signed, and changed afterwards: the signature no longer fits. Nothing that it says of "
                "itself can be relied on."
            )
        case Verdict.ELSEWHERE, _here:
            return _(
                "The file carries a manifest, but not one of this site. Whether its signer is who they say they are is "
                "not known here; a tool with a list of known signers can tell you more."
            )
        case Verdict.TAGGED, _here:
            return _(
                "A tag in the file says that an AI made it. Answers that were sent while they were still being spoken "
                "carry nothing else. But a tag is not signed: anyone can write one."
            )
        case _:
            return _(
                "Nothing in this file says where it comes from. That does not prove that a person spoke it: a mark is "
                "lost when sound is recorded again or converted, and not everyone marks what they make."
            )


def _facts(finding: Finding) -> list[tuple[str, str]]:
    says_synthetic = finding.verdict == Verdict.ELSEWHERE and finding.says_synthetic
    facts = {
        _("Made on"): _date(finding.made_at),
        _("Engine"): dict(VoiceProfile.Provider.choices).get(finding.engine, finding.engine),
        _("Signed by, it says"): finding.signed_by,
        _("Says that an AI made it"): _("yes") if says_synthetic else "",
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def _date(time: str) -> str:
    try:
        return f"{date_format(timezone.localtime(datetime.fromisoformat(time)), 'DATETIME_FORMAT')} (UTC)"
    except ValueError:  # Somebody else's, who writes dates otherwise.
        return time


class VerifyForm(forms.Form):
    file = forms.FileField(label=gettext_lazy("Sound file"), allow_empty_file=True)


@method_decorator(login_not_required, name="dispatch")
class VerifyPage(View):
    """Choose a file, and read what it says of itself. Needs no account and no script."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, VerifyForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = VerifyForm(request.POST, request.FILES)
        if not form.is_valid():
            return self._page(request, form, status=422)
        upload = form.cleaned_data["file"]
        try:
            answer = verify(upload=upload, address=_address(request))
        except UserError as error:
            form.add_error("file", error.message)
            return as_refused(self._page(request, form), error)
        return self._page(request, VerifyForm(), answer, upload.name)

    @staticmethod
    def _page(
        request: HttpRequest, form: VerifyForm, answer: Answer | None = None, name: str = "", *, status: int = 200
    ) -> HttpResponse:
        context = {"form": form, "answer": answer, "name": name, "megabytes": settings.MAX_UPLOAD_BYTES // 1_000_000}
        return render(request, "verify.html", context, status=status)


class VerifyFile(APIView):
    """Tell what a sound file says of where it comes from."""

    authentication_classes = []
    permission_classes = [AllowAny]
    parser_classes = [MultiPartParser]

    class Input(serializers.Serializer[Any]):
        file = serializers.FileField(allow_empty_file=True)

    class Output(serializers.Serializer[Any]):
        verdict = serializers.ChoiceField(choices=list(Verdict))
        title = serializers.CharField()
        message = serializers.CharField()
        signed_here = serializers.BooleanField()
        made_at = serializers.CharField()
        engine = serializers.CharField()
        signed_by = serializers.CharField()
        says_synthetic = serializers.BooleanField()

    def post(self, request: Request) -> Response:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        answer = verify(upload=values.validated_data["file"], address=_address(request._request))
        finding = answer.finding
        return Response(
            {
                "verdict": finding.verdict,
                "title": answer.title,
                "message": answer.message,
                "signed_here": finding.signed_here,
                "made_at": finding.made_at,
                "engine": finding.engine,
                "signed_by": finding.signed_by,
                "says_synthetic": finding.says_synthetic,
            }
        )


def _address(request: HttpRequest) -> str:
    return str(get_adapter(request).get_client_ip(request))
