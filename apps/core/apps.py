from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "apps.core"

    def ready(self) -> None:
        from apps.core.database import while_waiting
        from apps.speech import registry

        registry.set_waiting_context(while_waiting)
