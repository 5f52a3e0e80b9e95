from django.urls import path

from apps.site import api

urlpatterns = [
    path("verify", api.VerifyFile.as_view(), name="verify"),
]
