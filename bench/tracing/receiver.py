"""A receiver of OTLP that only counts: `python -m bench.tracing.receiver PORT`.

It takes traces by HTTP as protobuf (`POST /v1/traces`), reads them, and answers `GET /` with how many spans have come.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

_ACCEPTED = ExportTraceServiceResponse().SerializeToString()


class _Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    spans = 0

    def do_POST(self) -> None:
        octets = self.rfile.read(int(self.headers["content-length"]))
        sent = ExportTraceServiceRequest.FromString(octets)
        scopes = (scope for resource in sent.resource_spans for scope in resource.scope_spans)
        _Receiver.spans += sum(len(scope.spans) for scope in scopes)
        self._answer("application/x-protobuf", _ACCEPTED)

    def do_GET(self) -> None:
        self._answer("application/json", b'{"spans":%d}' % _Receiver.spans)

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def main() -> None:
    """Receives until it is ended."""
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Receiver).serve_forever()


if __name__ == "__main__":
    main()
