from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    default = True

    def ready(self) -> None:
        from apps.accounts import audit
        from apps.accounts.api_schema import OPERATIONS
        from apps.accounts.personal_data import AccountsData
        from apps.core import api_schema, personal_data

        audit.listen()
        api_schema.register(OPERATIONS)
        personal_data.register(AccountsData())


class AdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "apps.accounts.admin_site.SecondFactorAdminSite"
