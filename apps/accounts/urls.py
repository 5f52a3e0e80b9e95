from django.urls import path

from apps.accounts import views

app_name = "accounts"
urlpatterns = [
    path("profile/", views.profile, name="profile"),
    path("tokens/", views.TokenList.as_view(), name="tokens"),
    path("tokens/<int:token_pk>/revoke/", views.revoke_token, name="revoke-token"),
    path("invitation/<str:secret>/", views.invitation, name="invitation"),
]
