from django.urls import path
from drf_spectacular.views import SpectacularAPIView

from apps.site import engines, health, home, privacy_page, views, web_app
from apps.site.metrics import metrics

urlpatterns = [
    path("", home.home, name="home"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("engines", engines.engines, name="engines"),
    path("metrics", metrics, name="metrics"),
    path("favicon.ico", views.favicon),
    path("robots.txt", views.robots),
    path("manifest.webmanifest", web_app.manifest, name="manifest"),
    path("verify", views.VerifyPage.as_view(), name="verify"),
    path("privacy/", privacy_page.privacy, name="privacy"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", views.api_docs, name="api-docs"),
]
