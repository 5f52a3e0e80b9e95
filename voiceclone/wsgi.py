"""The WSGI application, for servers that do not support ASGI. Streaming needs ASGI: serve voiceclone.asgi instead."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceclone.settings")
application = get_wsgi_application()
