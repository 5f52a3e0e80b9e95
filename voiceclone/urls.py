"""All URLs of the site. Each app lists its pages in `urls` and its part of the API in `api_urls`."""

from django.contrib import admin
from django.urls import include, path

from apps.accounts import api_urls as accounts
from apps.conversations import api_urls as conversations
from apps.conversations.full_interaction_api import FullInteraction
from apps.conversations.report_views import Report
from apps.privacy import api_urls as privacy
from apps.site import api_urls as site
from apps.usage import api_urls as usage
from apps.voices import api_urls as voices
from apps.voices.api import CloneVoice
from apps.webhooks import api_urls as webhooks

api_v1 = [
    *accounts.urlpatterns,
    *usage.urlpatterns,
    *webhooks.urlpatterns,
    *privacy.urlpatterns,
    *voices.urlpatterns,
    *conversations.urlpatterns,
    *site.urlpatterns,
]

urlpatterns = [
    path("", include("apps.site.urls")),
    path("report/", Report.as_view(), name="report"),
    path("accounts/", include("apps.accounts.urls")),
    path("accounts/", include("apps.usage.urls")),
    path("accounts/", include("apps.webhooks.urls")),
    path("accounts/", include("apps.privacy.urls")),
    path("accounts/", include("allauth.urls")),
    path("voices/", include("apps.voices.urls")),
    path("", include("apps.conversations.urls")),
    path("clone-voice", CloneVoice.as_view(), name="clone-voice"),
    path("full-interaction", FullInteraction.as_view(), name="full-interaction"),
    path("api/v1/", include((api_v1, "api"))),
    path("v1/", include((conversations.openai_urlpatterns, "openai"))),
    path("admin/", admin.site.urls),
]

handler400 = "apps.site.error_pages.bad_request"
handler404 = "apps.site.error_pages.not_found"
handler429 = "apps.site.error_pages.too_many_requests"  # django-allauth looks this name up.
handler500 = "apps.site.error_pages.server_error"
