"""The API of the caller's conversations, for programs and for the pages' scripts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.authentication import signed_in_user
from apps.conversations import services
from apps.conversations.languages import Language
from apps.conversations.lookups import own_conversation
from apps.conversations.models import Conversation
from apps.conversations.search import search_conversations
from apps.conversations.turns_api import latest_turns
from apps.core.api import StrictSerializer
from apps.core.language_fields import LanguageChoiceField
from apps.voices.models import VoiceProfile


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    """A conversation as lists show it."""

    pinned = serializers.BooleanField(read_only=True)

    class Meta:
        model = Conversation
        fields = ["id", "title", "persona", "voice", "language", "model", "pinned", "created_at", "updated_at"]


@extend_schema_field(OpenApiTypes.UUID)
class OwnVoiceField(serializers.PrimaryKeyRelatedField[VoiceProfile]):
    """The id of one of the caller's voices; any other id counts as unknown."""

    default_error_messages = {"does_not_exist": gettext_lazy("You have no such voice.")}

    def get_queryset(self) -> Any:
        return VoiceProfile.objects.for_user(self.context["request"].user)


class ConversationChoices(StrictSerializer):
    """The settings of a conversation, which can be changed later; an empty language or model means the default."""

    title = serializers.CharField(max_length=120, required=False, allow_blank=True)
    persona = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    language = LanguageChoiceField(choices=Language.choices, required=False, allow_blank=True)
    model = serializers.CharField(required=False, allow_blank=True)

    def validate_model(self, model: str) -> str:
        if model and model not in services.chat_models():
            raise serializers.ValidationError(_("This model cannot be chosen here."))
        return model


class ConversationList(ListAPIView[Conversation]):
    """List and search the caller's conversations, or start one."""

    token_scope = "talk"
    serializer_class = ConversationSerializer

    class CreateInput(ConversationChoices):
        voice = OwnVoiceField()

    def get_queryset(self) -> Any:
        query = self.request.query_params
        found = search_conversations(owner=signed_in_user(self.request), search=query.get("search", ""))
        return found.pinned() if query.get("pinned") == "true" else found

    def post(self, request: Request) -> Response:
        values = self.CreateInput(data=request.data, context={"request": request})
        values.is_valid(raise_exception=True)
        conversation = services.start_conversation(owner=signed_in_user(request), **values.validated_data)
        return Response(_conversation_with_turns(request, conversation), status=status.HTTP_201_CREATED)


class ConversationDetail(APIView):
    """Read, change or delete one conversation."""

    token_scope = "talk"

    class ChangeInput(ConversationChoices):
        voice = OwnVoiceField(required=False)
        pinned = serializers.BooleanField(required=False)

    def get(self, request: Request, conversation_pk: UUID) -> Response:
        return Response(_conversation_with_turns(request, own_conversation(request, conversation_pk)))

    def patch(self, request: Request, conversation_pk: UUID) -> Response:
        conversation = own_conversation(request, conversation_pk)
        values = self.ChangeInput(data=request.data, context={"request": request})
        values.is_valid(raise_exception=True)
        changes = dict(values.validated_data)
        if (pinned := changes.pop("pinned", None)) is not None:
            services.pin_conversation(conversation=conversation, pinned=pinned)
        if changes:
            services.change_conversation(conversation=conversation, **changes)
        return Response(_conversation_with_turns(request, conversation))

    def delete(self, request: Request, conversation_pk: UUID) -> Response:
        services.delete_conversation(conversation=own_conversation(request, conversation_pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _conversation_with_turns(request: Request, conversation: Conversation) -> dict[str, Any]:
    return {**ConversationSerializer(conversation).data, **latest_turns(request, conversation)}
