from django.urls import path

from apps.webhooks import views

app_name = "webhooks"
urlpatterns = [
    path("webhooks/", views.WebhookList.as_view(), name="webhooks"),
    path("webhooks/<uuid:webhook_pk>/", views.WebhookDetail.as_view(), name="webhook"),
    path("webhooks/<uuid:webhook_pk>/switch/", views.switch_webhook, name="switch"),
    path("webhooks/<uuid:webhook_pk>/secret/", views.change_secret, name="secret"),
    path("webhooks/<uuid:webhook_pk>/delete/", views.delete_webhook, name="delete"),
    path(
        "webhooks/<uuid:webhook_pk>/deliveries/<uuid:delivery_pk>/redeliver/",
        views.redeliver,
        name="redeliver",
    ),
]
