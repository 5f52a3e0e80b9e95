from django.urls import path

from apps.usage import api

urlpatterns = [
    path("usage", api.UsageSummary.as_view(), name="usage"),
    path("usage/records", api.UsageRecordList.as_view(), name="usage-records"),
]
