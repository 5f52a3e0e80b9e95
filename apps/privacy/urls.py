from django.urls import path

from apps.privacy import views

app_name = "privacy"
urlpatterns = [
    path("data/", views.data_page, name="data"),
    path("data/export/", views.start_export, name="start-export"),
    path("data/export/delete/", views.delete_export, name="delete-export"),
    path("delete/", views.delete_account, name="delete-account"),
    path("erasures/<uuid:erasure_pk>/", views.erasure_page, name="erasure"),
    path("erasures/<uuid:erasure_pk>/receipt.txt", views.receipt, name="receipt"),
    path("erasures/<uuid:erasure_pk>/cancel/", views.cancel_erasure, name="cancel-erasure"),
]
