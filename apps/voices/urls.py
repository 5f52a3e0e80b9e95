from django.urls import path

from apps.voices import consent_views, views

app_name = "voices"
urlpatterns = [
    path("", views.VoiceList.as_view(), name="list"),
    path("consent/", consent_views.ConsentPage.as_view(), name="consent"),
    path("consent/<uuid:consent_pk>/withdraw", consent_views.withdraw, name="withdraw-consent"),
    path("<uuid:voice_pk>/rename", views.rename, name="rename"),
    path("<uuid:voice_pk>/settings", views.change_settings, name="settings"),
    path("<uuid:voice_pk>/default", views.make_default, name="default"),
    path("<uuid:voice_pk>/retry", views.retry, name="retry"),
    path("<uuid:voice_pk>/delete", views.delete, name="delete"),
]
