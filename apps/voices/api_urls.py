from django.urls import path

from apps.voices import api, consent_api

urlpatterns = [
    path("voices", api.VoiceList.as_view(), name="voices"),
    path("voices/<uuid:voice_pk>", api.VoiceDetail.as_view(), name="voice"),
    path("voices/<uuid:voice_pk>/preview", api.VoicePreview.as_view(), name="voice-preview"),
    path("voices/<uuid:voice_pk>/retry", api.VoiceRetry.as_view(), name="voice-retry"),
    path(
        "voices/<uuid:voice_pk>/samples/<int:sample_pk>/audio",
        api.VoiceSampleAudio.as_view(),
        name="voice-sample",
    ),
    path("consents", consent_api.ConsentList.as_view(), name="consents"),
    path("consents/challenges", consent_api.ChallengeList.as_view(), name="consent-challenges"),
    path("consents/<uuid:consent_pk>/withdraw", consent_api.ConsentWithdrawal.as_view(), name="consent-withdraw"),
    path("consents/<uuid:consent_pk>/audio", consent_api.ConsentAudio.as_view(), name="consent-audio"),
    path("sample-checks", api.SampleChecks.as_view(), name="sample-checks"),
]
