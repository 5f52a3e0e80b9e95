"""For management servers that only speak WSGI. Streams need ASGI: serve voiceclone.asgi."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceclone.settings")
application = get_wsgi_application()
