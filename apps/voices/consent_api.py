"""The caller's consents, for API clients and for the page's script."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.authentication import signed_in_user
from apps.accounts.idempotency import idempotent
from apps.core.api import AudioRenderer, NewestFirstPagination, StrictSerializer
from apps.core.audio_response import stored_audio_response
from apps.core.errors import UserError
from apps.core.language_fields import LanguageChoiceField
from apps.usage.api import LimitedView
from apps.voices import consent as services
from apps.voices.models import Consent, ConsentChallenge, ConsentQuerySet
from apps.voices.statements import WORDINGS


class ConsentSerializer(serializers.ModelSerializer[Consent]):
    """A consent as the API shows it. `consents/{id}/audio` is the recording of a spoken consent."""

    is_valid = serializers.BooleanField(read_only=True)  # type: ignore[assignment] # DRF has a method of this name

    class Meta:
        model = Consent
        fields = [
            "id",
            "method",
            "statement",
            "statement_version",
            "language",
            "purpose",
            "transcript",
            "word_error",
            "has_clip",
            "sha256",
            "given_at",
            "valid_until",
            "withdrawn_at",
            "is_valid",
        ]


class ChallengeSerializer(serializers.ModelSerializer[ConsentChallenge]):
    """A statement to read aloud. `POST consents` accepts its id and a recording once, until `expires_at`."""

    code_words = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = ConsentChallenge
        fields = ["id", "statement", "code_words", "language", "expires_at"]


class StatementInput(StrictSerializer):
    """The language of the statement and the name of the speaker, by default the account's."""

    language = LanguageChoiceField(choices=[(code, wording.title) for code, wording in WORDINGS.items()], default="en")
    name = serializers.CharField(max_length=services.MAX_NAME_CHARACTERS, required=False)


class LatestConsentsFirst(NewestFirstPagination):
    ordering = "-given_at"


class ConsentList(LimitedView, ListAPIView[Consent]):
    """List the caller's consents, or give one: `challenge` and `audio`, or `attested` if the site allows it."""

    token_scope = "voices"
    serializer_class = ConsentSerializer
    pagination_class = LatestConsentsFirst
    parser_classes = [MultiPartParser, JSONParser]

    class CreateInput(StatementInput):
        challenge = serializers.UUIDField(required=False)
        audio = serializers.FileField(allow_empty_file=True, required=False)
        attested = serializers.BooleanField(default=False)

        def validate(self, values: dict[str, Any]) -> dict[str, Any]:
            missing = [name for name in ("challenge", "audio") if name not in values]
            if missing and not values["attested"]:
                raise serializers.ValidationError({name: [_("This is required for a consent.")] for name in missing})
            return values

    def get_queryset(self) -> ConsentQuerySet:
        return Consent.objects.for_user(self.request.user)

    @idempotent
    def post(self, request: Request) -> Response:
        values = self.CreateInput(data=request.data)
        values.is_valid(raise_exception=True)
        consent = _give_consent(request, **values.validated_data)
        return Response(ConsentSerializer(consent).data, status=status.HTTP_201_CREATED)


def _give_consent(
    request: Request, *, attested: bool, challenge: UUID | None = None, audio: Any = None, **statement: str
) -> Consent:
    owner = signed_in_user(request)
    if attested:
        return services.attest(owner=owner, **statement)
    assert challenge is not None  # noqa: S101 - CreateInput.validate ensures it.
    return services.give_consent(owner=owner, challenge_pk=challenge, data=audio.read())


class ChallengeList(APIView):
    """Get a statement to read aloud. It replaces an earlier one."""

    token_scope = "voices"
    parser_classes = [JSONParser, MultiPartParser]

    class Input(StatementInput):
        pass

    def post(self, request: Request) -> Response:
        values = self.Input(data=request.data)
        values.is_valid(raise_exception=True)
        challenge = services.new_challenge(owner=signed_in_user(request), **values.validated_data)
        return Response(ChallengeSerializer(challenge).data, status=status.HTTP_201_CREATED)


class ConsentWithdrawal(APIView):
    """Withdraw the consent: the caller's voices can no longer speak, and are deleted."""

    token_scope = "voices"

    def post(self, request: Request, consent_pk: UUID) -> Response:
        consent = services.withdraw_consent(consent=_own_consent(request, consent_pk))
        return Response(ConsentSerializer(consent).data)


class ConsentAudio(APIView):
    """The recording of a spoken consent, as FLAC."""

    renderer_classes = [JSONRenderer, AudioRenderer]

    def get(self, request: Request, consent_pk: UUID) -> HttpResponseBase:
        consent = _own_consent(request, consent_pk)
        if not consent.clip:
            raise UserError("audio_not_found", _("This consent has no recording."), status=404)
        return stored_audio_response(request, consent.clip, "audio/flac")


def _own_consent(request: Request, consent_pk: UUID) -> Consent:
    return get_object_or_404(Consent.objects.for_user(request.user), pk=consent_pk)
