"""Every address of the site."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from apps.accounts import api as accounts_api
from apps.accounts import export_api, usage_api, webhook_api
from apps.conversations import api as conversations_api
from apps.conversations import full_interaction_api, openai_api, stages_api, turns_api
from apps.conversations.report_views import Report
from apps.voices import api as voices_api
from apps.voices import consent_api
from voiceclone import verification, views
from voiceclone.metrics import metrics
from voiceclone.privacy import privacy

admin.site.site_header = admin.site.site_title = "VoiceClone"

api_v1 = [
    path("tokens", accounts_api.TokenList.as_view(), name="tokens"),
    path("tokens/<int:token_pk>", accounts_api.TokenDetail.as_view(), name="token"),
    path("usage", usage_api.UsageSummary.as_view(), name="usage"),
    path("usage/records", usage_api.UsageRecordList.as_view(), name="usage-records"),
    path("webhooks", webhook_api.WebhookList.as_view(), name="webhooks"),
    path("webhooks/<uuid:webhook_pk>", webhook_api.WebhookDetail.as_view(), name="webhook"),
    path("webhooks/<uuid:webhook_pk>/secret", webhook_api.WebhookSecret.as_view(), name="webhook-secret"),
    path("webhooks/<uuid:webhook_pk>/deliveries", webhook_api.DeliveryList.as_view(), name="webhook-deliveries"),
    path(
        "webhooks/<uuid:webhook_pk>/deliveries/<uuid:delivery_pk>/redeliver",
        webhook_api.DeliveryRetry.as_view(),
        name="webhook-redeliver",
    ),
    path("exports", export_api.ExportList.as_view(), name="exports"),
    path("exports/<uuid:export_pk>", export_api.ExportDetail.as_view(), name="export"),
    path("exports/<uuid:export_pk>/download", export_api.ExportDownload.as_view(), name="export-download"),
    path("voices", voices_api.VoiceList.as_view(), name="voices"),
    path("voices/<uuid:voice_pk>", voices_api.VoiceDetail.as_view(), name="voice"),
    path("voices/<uuid:voice_pk>/preview", voices_api.VoicePreview.as_view(), name="voice-preview"),
    path("voices/<uuid:voice_pk>/retry", voices_api.VoiceRetry.as_view(), name="voice-retry"),
    path(
        "voices/<uuid:voice_pk>/samples/<int:sample_pk>/audio",
        voices_api.VoiceSampleAudio.as_view(),
        name="voice-sample",
    ),
    path("consents", consent_api.ConsentList.as_view(), name="consents"),
    path("consents/challenges", consent_api.ChallengeList.as_view(), name="consent-challenges"),
    path("consents/<uuid:consent_pk>/withdraw", consent_api.ConsentWithdrawal.as_view(), name="consent-withdraw"),
    path("consents/<uuid:consent_pk>/audio", consent_api.ConsentAudio.as_view(), name="consent-audio"),
    path("sample-checks", voices_api.SampleChecks.as_view(), name="sample-checks"),
    path("conversations", conversations_api.ConversationList.as_view(), name="conversations"),
    path("conversations/<uuid:conversation_pk>", conversations_api.ConversationDetail.as_view(), name="conversation"),
    path("conversations/<uuid:conversation_pk>/turns", turns_api.TurnList.as_view(), name="turns"),
    path("verify", verification.VerifyFile.as_view(), name="verify"),
    path("transcriptions", stages_api.Transcriptions.as_view(), name="transcriptions"),
    path("speech", stages_api.Speech.as_view(), name="speech"),
    path("turns/<uuid:turn_pk>", turns_api.TurnDetail.as_view(), name="turn"),
    path("turns/<uuid:turn_pk>/retry", turns_api.TurnRetry.as_view(), name="turn-retry"),
    path("turns/<uuid:turn_pk>/stop", turns_api.TurnStop.as_view(), name="turn-stop"),
    path("turns/<uuid:turn_pk>/audio", turns_api.TurnAnswerAudio.as_view(), name="turn-audio"),
    path("turns/<uuid:turn_pk>/question", turns_api.TurnQuestionAudio.as_view(), name="turn-question"),
]

openai_v1 = [
    path("audio/speech", openai_api.OpenAISpeech.as_view(), name="speech"),
    path("audio/transcriptions", openai_api.OpenAITranscriptions.as_view(), name="transcriptions"),
    path("models", openai_api.ModelList.as_view(), name="models"),
    path("models/<str:model>", openai_api.ModelDetail.as_view(), name="model"),
]

# The admin's own sign-in would know neither a second factor nor the limits on guessing.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("favicon.ico", views.favicon),
    path("verify", verification.VerifyPage.as_view(), name="verify"),
    path("privacy/", privacy, name="privacy"),
    path("report/", Report.as_view(), name="report"),
    path("accounts/", include("apps.accounts.urls")),
    path("accounts/", include("allauth.urls")),
    path("voices/", include("apps.voices.urls")),
    path("", include("apps.conversations.urls")),
    path("clone-voice", voices_api.CloneVoice.as_view(), name="clone-voice"),
    path("full-interaction", full_interaction_api.FullInteraction.as_view(), name="full-interaction"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", views.api_docs, name="api-docs"),
    path("api/v1/", include((api_v1, "api"))),
    path("v1/", include((openai_v1, "openai"))),
    path("admin/", admin.site.urls),
]

handler400 = "voiceclone.views.bad_request"
handler404 = "voiceclone.views.not_found"
handler429 = "voiceclone.views.too_many_requests"  # django-allauth asks for it.
handler500 = "voiceclone.views.server_error"
