from django.urls import path

from apps.conversations import api, openai_api, shares_api, single_stages_api, turns_api

urlpatterns = [
    path("conversations", api.ConversationList.as_view(), name="conversations"),
    path("conversations/<uuid:conversation_pk>", api.ConversationDetail.as_view(), name="conversation"),
    path("conversations/<uuid:conversation_pk>/turns", turns_api.TurnList.as_view(), name="turns"),
    path("transcriptions", single_stages_api.Transcriptions.as_view(), name="transcriptions"),
    path("speech", single_stages_api.Speech.as_view(), name="speech"),
    path("turns/<uuid:turn_pk>", turns_api.TurnDetail.as_view(), name="turn"),
    path("turns/<uuid:turn_pk>/retry", turns_api.TurnRetry.as_view(), name="turn-retry"),
    path("turns/<uuid:turn_pk>/regenerate", turns_api.TurnRegenerate.as_view(), name="turn-regenerate"),
    path("turns/<uuid:turn_pk>/stop", turns_api.TurnStop.as_view(), name="turn-stop"),
    path("turns/<uuid:turn_pk>/audio", turns_api.TurnAnswerAudio.as_view(), name="turn-audio"),
    path("turns/<uuid:turn_pk>/question", turns_api.TurnQuestionAudio.as_view(), name="turn-question"),
    path("turns/<uuid:turn_pk>/shares", shares_api.TurnShares.as_view(), name="turn-shares"),
    path("shares", shares_api.ShareList.as_view(), name="shares"),
    path("shares/<uuid:share_pk>", shares_api.ShareDetail.as_view(), name="share"),
]

openai_urlpatterns = [
    path("audio/speech", openai_api.OpenAISpeech.as_view(), name="speech"),
    path("audio/transcriptions", openai_api.OpenAITranscriptions.as_view(), name="transcriptions"),
    path("audio/voices", openai_api.VoiceList.as_view(), name="voices"),
    path("models", openai_api.ModelList.as_view(), name="models"),
    path("models/<path:model>", openai_api.ModelDetail.as_view(), name="model"),
]
