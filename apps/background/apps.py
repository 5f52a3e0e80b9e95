from django.apps import AppConfig


class BackgroundConfig(AppConfig):
    name = "apps.background"

    def ready(self) -> None:
        from apps.background import stray_files
        from apps.core import repairs

        repairs.register("stray files", stray_files.repairs, is_slow=True)
