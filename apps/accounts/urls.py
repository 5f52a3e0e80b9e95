from django.urls import path

from apps.accounts import data_views, usage_views, views, webhook_views

app_name = "accounts"
urlpatterns = [
    path("profile/", views.profile, name="profile"),
    path("tokens/", views.TokenList.as_view(), name="tokens"),
    path("tokens/<int:token_pk>/revoke/", views.revoke_token, name="revoke-token"),
    path("usage/", usage_views.usage_page, name="usage"),
    path("webhooks/", webhook_views.WebhookList.as_view(), name="webhooks"),
    path("webhooks/<uuid:webhook_pk>/", webhook_views.WebhookDetail.as_view(), name="webhook"),
    path("webhooks/<uuid:webhook_pk>/switch/", webhook_views.switch_webhook, name="switch-webhook"),
    path("webhooks/<uuid:webhook_pk>/secret/", webhook_views.change_secret, name="webhook-secret"),
    path("webhooks/<uuid:webhook_pk>/delete/", webhook_views.delete_webhook, name="delete-webhook"),
    path(
        "webhooks/<uuid:webhook_pk>/deliveries/<uuid:delivery_pk>/redeliver/",
        webhook_views.redeliver,
        name="redeliver",
    ),
    path("data/", data_views.data_page, name="data"),
    path("data/export/", data_views.start_export, name="start-export"),
    path("data/export/delete/", data_views.delete_export, name="delete-export"),
    path("delete/", data_views.delete_account, name="delete"),
    path("erasures/<uuid:erasure_pk>/", data_views.erasure_page, name="erasure"),
    path("erasures/<uuid:erasure_pk>/receipt.txt", data_views.receipt, name="receipt"),
    path("erasures/<uuid:erasure_pk>/cancel/", data_views.cancel_erasure, name="cancel-erasure"),
    path("invitation/<str:secret>/", views.invitation, name="invitation"),
]
