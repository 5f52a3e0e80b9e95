from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    verbose_name = _("People and access")  # The admin has a section "Accounts" of django-allauth.
    default = True

    def ready(self) -> None:
        from apps.accounts import audit
        from apps.accounts.api_schema import OPERATIONS
        from apps.accounts.personal_data import AccountsData
        from apps.core import api_schema, personal_data

        audit.listen()
        api_schema.register(OPERATIONS)
        personal_data.register(AccountsData())
