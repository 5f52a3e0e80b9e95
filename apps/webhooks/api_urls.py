from django.urls import path

from apps.webhooks import api

urlpatterns = [
    path("webhooks", api.WebhookList.as_view(), name="webhooks"),
    path("webhooks/<uuid:webhook_pk>", api.WebhookDetail.as_view(), name="webhook"),
    path("webhooks/<uuid:webhook_pk>/secret", api.WebhookSecret.as_view(), name="webhook-secret"),
    path("webhooks/<uuid:webhook_pk>/deliveries", api.DeliveryList.as_view(), name="webhook-deliveries"),
    path(
        "webhooks/<uuid:webhook_pk>/deliveries/<uuid:delivery_pk>/redeliver",
        api.DeliveryRetry.as_view(),
        name="webhook-redeliver",
    ),
]
