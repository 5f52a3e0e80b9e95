"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path

from apps.conversations import api as conversations_api
from apps.voices import api as voices_api
from voiceclone import views

api_v1 = [
    path("voices", voices_api.VoiceList.as_view(), name="voices"),
    path("voices/<uuid:voice_pk>", voices_api.VoiceDetail.as_view(), name="voice"),
    path("voices/<uuid:voice_pk>/preview", voices_api.VoicePreview.as_view(), name="voice-preview"),
    path("voices/<uuid:voice_pk>/retry", voices_api.VoiceRetry.as_view(), name="voice-retry"),
    path("conversations", conversations_api.ConversationList.as_view(), name="conversations"),
    path("conversations/<uuid:conversation_pk>", conversations_api.ConversationDetail.as_view(), name="conversation"),
    path("conversations/<uuid:conversation_pk>/turns", conversations_api.TurnList.as_view(), name="turns"),
    path("turns/<uuid:turn_pk>", conversations_api.TurnDetail.as_view(), name="turn"),
    path("turns/<uuid:turn_pk>/retry", conversations_api.TurnRetry.as_view(), name="turn-retry"),
    path("turns/<uuid:turn_pk>/stop", conversations_api.TurnStop.as_view(), name="turn-stop"),
    path("turns/<uuid:turn_pk>/audio", conversations_api.TurnAudio.as_view(kind="answer"), name="turn-audio"),
    path("turns/<uuid:turn_pk>/question", conversations_api.TurnAudio.as_view(kind="question"), name="turn-question"),
]

urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("favicon.ico", views.favicon),
    path("accounts/", include("allauth.account.urls")),
    path("voices/", include("apps.voices.urls")),
    path("", include("apps.conversations.urls")),
    path("clone-voice", voices_api.CloneVoice.as_view(), name="clone-voice"),
    path("full-interaction", conversations_api.FullInteraction.as_view(), name="full-interaction"),
    path("api/v1/", include((api_v1, "api"))),
    path("admin/", admin.site.urls),
]

handler400 = "voiceclone.views.bad_request"
handler404 = "voiceclone.views.not_found"
handler500 = "voiceclone.views.server_error"
