from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "apps.site"

    def ready(self) -> None:
        from apps.core import api_schema
        from apps.site.api_schema import OPERATIONS

        api_schema.register(OPERATIONS)
