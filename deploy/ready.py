"""The health check of the container: whether the web server in it is ready. The worker has no port, and none is needed:
it ends when it cannot work."""

import sys
from http.client import HTTPConnection, HTTPException

# ALLOWED_HOSTS has to contain 127.0.0.1.
connection = HTTPConnection("127.0.0.1", 8000, timeout=5)
try:
    connection.request("GET", "/readyz")
    sys.exit(connection.getresponse().status != 200)
except (OSError, HTTPException) as error:
    sys.exit(f"No answer: {error}")
