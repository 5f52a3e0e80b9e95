from django.urls import path

from apps.accounts import api

urlpatterns = [
    path("tokens", api.TokenList.as_view(), name="tokens"),
    path("tokens/<int:token_pk>", api.TokenDetail.as_view(), name="token"),
]
