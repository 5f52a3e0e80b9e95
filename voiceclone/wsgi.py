"""The WSGI application, for servers that do not support ASGI: serve voiceclone.asgi instead if you can.

Streams, and bodies that come in chunks without a Content-Length, need ASGI.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceclone.settings")
application = get_wsgi_application()
