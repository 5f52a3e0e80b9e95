from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "apps.webhooks"

    def ready(self) -> None:
        from apps.core import api_schema, personal_data
        from apps.webhooks.api_schema import OPERATIONS
        from apps.webhooks.personal_data import WebhooksData

        api_schema.register(OPERATIONS)
        personal_data.register(WebhooksData())
