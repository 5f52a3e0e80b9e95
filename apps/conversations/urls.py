from django.urls import path

from apps.conversations import share_views, views

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
    path("talk/turns/<uuid:turn_pk>/share", share_views.ShareAnswer.as_view(), name="share"),
    path("accounts/shares/", share_views.shares, name="shares"),
    path("accounts/shares/<uuid:share_pk>/revoke", share_views.revoke, name="revoke-share"),
    path("s/<str:secret>", share_views.shared, name="shared"),
    path("s/<str:secret>/answer.mp3", share_views.shared_sound, name="shared-sound"),
]
