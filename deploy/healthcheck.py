"""Ask the service in this container whether it lives; exit 0 or 1. In Python, for the image has no curl."""

import os
import socket
import ssl
import sys

SECONDS_MAX = 3


def connect() -> socket.socket:
    """Connect to where the settings say that the service listens."""
    path = os.environ.get("LIKEWISE_SOCKET")
    if path:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SECONDS_MAX)
        connection.connect(path)
        return connection
    port = int(os.environ.get("LIKEWISE_PORT", "8080"))
    connection = socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX)
    if not os.environ.get("LIKEWISE_TLS_CERTIFICATE"):
        return connection
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it lives, whatever its name is
    return context.wrap_socket(connection)


try:
    with connect() as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status = connection.recv(12)
except OSError as error:
    sys.exit(f"likewise does not answer: {error}")
sys.exit(0 if status == b"HTTP/1.1 200" else f"likewise answers {status!r}")
