from django.apps import AppConfig


class SpeechConfig(AppConfig):
    name = "apps.speech"

    def ready(self) -> None:
        from apps.speech import checks  # noqa: F401 - importing it registers the checks
