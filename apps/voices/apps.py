from django.apps import AppConfig


class VoicesConfig(AppConfig):
    name = "apps.voices"

    def ready(self) -> None:
        from apps.core import api_schema, personal_data, repairs
        from apps.voices import reconciling
        from apps.voices.api_schema import OPERATIONS
        from apps.voices.personal_data import VoicesData

        api_schema.register(OPERATIONS)
        personal_data.register(VoicesData())
        repairs.register("voices", reconciling.repairs)
        repairs.register("unknown voices", reconciling.unknown_voices, is_on_request=True)
