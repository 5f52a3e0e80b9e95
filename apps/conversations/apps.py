from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "apps.conversations"

    def ready(self) -> None:
        from apps.conversations import reconciling
        from apps.conversations.api_schema import OPERATIONS
        from apps.conversations.personal_data import ConversationsData
        from apps.core import api_schema, personal_data, repairs

        api_schema.register(OPERATIONS)
        personal_data.register(ConversationsData())
        repairs.register("turns", reconciling.repairs, is_quick=True)
