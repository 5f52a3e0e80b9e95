from django.apps import AppConfig


class UsageConfig(AppConfig):
    name = "apps.usage"

    def ready(self) -> None:
        from apps.core import api_schema, personal_data, repairs
        from apps.usage import reconciling
        from apps.usage.api_schema import OPERATIONS
        from apps.usage.personal_data import UsageData

        api_schema.register(OPERATIONS)
        personal_data.register(UsageData())
        repairs.register("reservations", reconciling.repairs)
