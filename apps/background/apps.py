from django.apps import AppConfig


class BackgroundConfig(AppConfig):
    name = "apps.background"

    def ready(self) -> None:
        from apps.background import stray_files
        from apps.core import repairs

        repairs.register_slow("stray files", stray_files.repairs)
