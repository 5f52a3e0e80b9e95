from django.urls import path

from apps.privacy import api

urlpatterns = [
    path("exports", api.ExportList.as_view(), name="exports"),
    path("exports/<uuid:export_pk>", api.ExportDetail.as_view(), name="export"),
    path("exports/<uuid:export_pk>/download", api.ExportDownload.as_view(), name="export-download"),
]
