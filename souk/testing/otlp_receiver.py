"""A receiver of OTLP for tests: it takes traces and logs over HTTP and gRPC, as OpenTelemetry's messages."""

import gzip
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span

LIMIT = 60.0
"""Seconds that a test waits for spans at most."""


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it has arrived, with its service's name; ids are hexadecimal. `links` are the ids of spans."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    attributes: dict[str, object]
    links: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ReceivedLog:
    """A log record as it has arrived; ids are hexadecimal, or empty. `time` is in nanoseconds since 1970."""

    service: str
    body: str
    severity: str
    trace_id: str
    span_id: str
    attributes: dict[str, object]
    time: int


class OtlpLogs(logs_service_pb2_grpc.LogsServiceServicer):
    """Keeps the log records that arrive, in order."""

    def __init__(self) -> None:
        self.records: list[ReceivedLog] = []

    def Export(self, request: ExportLogsServiceRequest, context: object) -> ExportLogsServiceResponse:
        """Takes an export."""
        for resource in request.resource_logs:
            service = str(_attributes(resource.resource.attributes)["service.name"])
            for scope in resource.scope_logs:
                self.records += [
                    ReceivedLog(
                        service,
                        one.body.string_value,
                        SeverityNumber.Name(one.severity_number).removeprefix("SEVERITY_NUMBER_"),
                        one.trace_id.hex().strip("0") and one.trace_id.hex(),
                        one.span_id.hex().strip("0") and one.span_id.hex(),
                        _attributes(one.attributes),
                        one.time_unix_nano,
                    )
                    for one in scope.log_records
                ]
        return ExportLogsServiceResponse()


class OtlpReceiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans that arrive, in order. `requests` counts the exports."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.requests = 0
        self.logging = OtlpLogs()
        self.http_url = self.grpc_url = ""
        self._arrived = threading.Condition()

    def Export(self, request: ExportTraceServiceRequest, context: object) -> ExportTraceServiceResponse:
        """Takes an export."""
        with self._arrived:
            self.requests += 1
            self.spans.extend(_received(request))
            self._arrived.notify_all()
        return ExportTraceServiceResponse()

    @property
    def logs(self) -> list[ReceivedLog]:
        """The log records that have arrived."""
        return self.logging.records

    def wait(self, fits: Callable[[list[ReceivedSpan]], object], limit: float = LIMIT) -> list[ReceivedSpan]:
        """Waits until the spans are as `fits` says, and returns them. Raises AssertionError, with them, if never."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: fits(self.spans), limit):
                raise AssertionError("\n".join(f"{one.service}: {one.kind} {one.name}" for one in self.spans))
            return list(self.spans)


def _received(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    for resource in request.resource_spans:
        service = str(_attributes(resource.resource.attributes)["service.name"])
        for scope in resource.scope_spans:
            for one in scope.spans:
                yield ReceivedSpan(
                    service,
                    one.name,
                    Span.SpanKind.Name(one.kind).removeprefix("SPAN_KIND_"),
                    one.trace_id.hex(),
                    one.span_id.hex(),
                    one.parent_span_id.hex(),
                    one.status.code == 2,
                    _attributes(one.attributes),
                    tuple(link.span_id.hex() for link in one.links),
                    (one.end_time_unix_nano - one.start_time_unix_nano) / 1e9,
                )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    found: dict[str, object] = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        found[pair.key] = getattr(pair.value, kind) if kind else None
    return found


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """Receives traces at free ports of loopback inside the block."""
    receiver = OtlpReceiver()

    def taken(path: str, body: bytes) -> bytes:
        if path.endswith("/v1/logs"):
            return receiver.logging.Export(ExportLogsServiceRequest.FromString(body), None).SerializeToString()
        return receiver.Export(ExportTraceServiceRequest.FromString(body), None).SerializeToString()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            answer = taken(self.path, body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=http.serve_forever, daemon=True)
    serving.start()
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)  # type: ignore[no-untyped-call]
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(receiver.logging, server)  # type: ignore[no-untyped-call]
    receiver.http_url = f"http://127.0.0.1:{http.server_port}"
    receiver.grpc_url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait()
        http.shutdown()
        http.server_close()
        serving.join()
