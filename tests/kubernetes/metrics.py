"""The API of pods' metrics that autoscalers ask, with figures that a test sets: it stands for a metrics server."""

import json
import ssl
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from souk.kernel.addresses import LOOPBACK
from tests.kubernetes.cluster import Manifest, Namespace
from tests.kubernetes.credentials import Credentials

GROUP, VERSION = "metrics.k8s.io", "v1beta1"


class MetricsApi:
    """Serves it inside a block. The API server asks it as the host `localhost`, and trusts any certificate of it."""

    def __init__(self, credentials: Credentials) -> None:
        self._use: dict[str, tuple[Namespace, dict[str, str]]] = {}
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = json.dumps(api.answer(self.path.partition("?")[0])).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(credentials.certificate, credentials.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def use(self, *, namespace: Namespace, cpu: str, proxy: str = "0") -> None:
        """Says from now on that each pod of a namespace uses so much CPU, and a proxy beside it so much."""
        self._use[namespace.name] = (namespace, {"souk": cpu, "proxy": proxy})

    def registration(self) -> Sequence[Manifest]:
        """Makes what the API server must know to ask this API."""
        name = {"name": "metrics", "namespace": "kube-system"}
        port = self._server.server_address[1]
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": name,
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
        }
        api = {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{VERSION}.{GROUP}"},
            "spec": {
                "group": GROUP,
                "version": VERSION,
                "service": {**name, "port": port},
                "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        }
        return service, api

    def answer(self, path: str) -> Manifest:
        """Answers a request for a path."""
        match path.strip("/").split("/"):
            case ["apis", _, _, "namespaces", namespace, "pods"] if namespace in self._use:
                items = [self._pod(one["metadata"], namespace) for one in self._pods(namespace)]
                return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "PodMetricsList", "metadata": {}, "items": items}
            case ["apis", _, _, "namespaces", _, "pods"]:
                return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "PodMetricsList", "metadata": {}, "items": []}
        pods = {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}
        return {
            "apiVersion": "v1",
            "kind": "APIResourceList",
            "groupVersion": f"{GROUP}/{VERSION}",
            "resources": [pods],
        }

    def _pods(self, namespace: str) -> Sequence[Manifest]:
        found, _ = self._use[namespace]
        pods: Sequence[Manifest] = found.get("pods", "--selector=app.kubernetes.io/component=service")["items"]
        return pods

    def _pod(self, metadata: Manifest, namespace: str) -> Manifest:
        _, cpu = self._use[namespace]
        about = {name: metadata[name] for name in ("name", "namespace", "labels")}
        usage = [{"name": name, "usage": {"cpu": used, "memory": "64Mi"}} for name, used in cpu.items()]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"metadata": about, "timestamp": now, "window": "10s", "containers": usage}
