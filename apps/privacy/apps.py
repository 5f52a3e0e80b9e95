from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    name = "apps.privacy"

    def ready(self) -> None:
        from apps.core import api_schema, content_access, personal_data
        from apps.privacy import accesses
        from apps.privacy.api_schema import OPERATIONS
        from apps.privacy.personal_data import PrivacyData

        api_schema.register(OPERATIONS)
        personal_data.register(PrivacyData())
        content_access.register(accesses.store)
