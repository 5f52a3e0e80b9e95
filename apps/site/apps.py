from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class SiteConfig(AppConfig):
    name = "apps.site"
    default = True

    def ready(self) -> None:
        from apps.core import api_schema
        from apps.site.api_schema import OPERATIONS

        api_schema.register(OPERATIONS)


class AdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "apps.site.admin_site.FrontPageAdminSite"
