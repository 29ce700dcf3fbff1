"""An S3 endpoint on loopback, run as a program: it makes a bucket, prints its port, and serves until it is killed.

Requests are served one at a time, which is what makes `If-None-Match: *` atomic, as it is on S3.
"""

from __future__ import annotations

import sys

from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


def main() -> None:
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=MotoRequestHandler)
    print(server.server_address[1], flush=True)
    sys.stderr = open("/dev/null", "w")  # noqa: SIM115 - a line a request
    server.serve_forever()


if __name__ == "__main__":
    main()
