from django.urls import path

from apps.conversations import views

app_name = "conversations"
urlpatterns = [
    path("talk/", views.talk, name="talk"),
    path("talk/<uuid:conversation_pk>/", views.detail, name="detail"),
    path("history/", views.history, name="history"),
    path("history/delete", views.delete_several, name="delete-several"),
    path("history/<uuid:conversation_pk>/pin", views.pin, name="pin"),
    path("history/<uuid:conversation_pk>/rename", views.rename, name="rename"),
    path("history/<uuid:conversation_pk>/delete", views.delete, name="delete"),
    path("history/<uuid:conversation_pk>/export.<str:extension>", views.export, name="export"),
]
