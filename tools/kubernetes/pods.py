"""What pods of all workloads have: the container, its rights, its settings and its files."""

from typing import Any

from names import CONTAINER, DATA, FORGOTTEN, GRACE, IMAGE, METRICS, REGISTRY, RUN, USER, labels, selector

Manifest = dict[str, Any]

RESTRICTED: Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""The rights of a container, as the Pod Security Standard `restricted` wants them."""
OPTIONAL_SERVERS = ("redis", "broker", "search")
"""Servers that a system may have: SOUK_REDIS is the key `url` of the Secret souk-redis, if there is one."""


def field(name: str, path: str) -> Manifest:
    """Makes a variable of a field of the pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def secret(name: str, of: str, key: str, optional: bool = False) -> Manifest:
    """Makes a variable of a key of a Secret."""
    reference: Manifest = {"name": of, "key": key}
    return {"name": name, "valueFrom": {"secretKeyRef": {**reference, "optional": True} if optional else reference}}


def value(name: str, text: str) -> Manifest:
    """Makes a variable."""
    return {"name": name, "value": text}


def files(volume: str, of: str, folder: str) -> tuple[Manifest, Manifest]:
    """Makes the volume of a Secret's files, and its mount."""
    return (
        {"name": volume, "secret": {"secretName": of, "defaultMode": 0o440}},
        {"name": volume, "mountPath": f"{RUN}/{folder}", "readOnly": True},
    )


def database(service: str) -> tuple[Manifest, Manifest]:
    """Makes the volume and the mount of the URL of a service's database."""
    return files("database", f"{service}-database", "database")


DATABASE_URL = value("SOUK_POSTGRES", f"@{RUN}/database/url")


def tls(name: str) -> tuple[Manifest, Manifest]:
    """Makes the volume and the mount of a workload's certificate, its key and the authority."""
    return files("tls", f"{name}-tls", "tls")


def environment(*own: Manifest) -> list[Manifest]:
    """Gives the variables of a process that serves; `own` are those that only some have."""
    return [
        field("POD_NAMESPACE", "metadata.namespace"),
        field("SOUK_INSTANCE", "metadata.name"),
        value("SOUK_REGISTRY", REGISTRY),
        secret("SOUK_SECRET", "souk-secret", "secret"),
        *(secret(f"SOUK_{name.upper()}", f"souk-{name}", "url", optional=True) for name in OPTIONAL_SERVERS),
        value("SOUK_TLS_CERT", f"{RUN}/tls/tls.crt"),
        value("SOUK_TLS_KEY", f"{RUN}/tls/tls.key"),
        value("SOUK_TLS_CA", f"{RUN}/tls/ca.crt"),
        *own,
    ]


def probes() -> Manifest:
    """Makes the probes.

    A process is restarted only when its event loop stands still for a minute (/healthz asks nobody else); what it
    depends on decides only whether it gets requests (/readyz). A start may take five minutes.
    """
    alive = {"httpGet": {"path": "/healthz", "port": "metrics"}, "timeoutSeconds": 5}
    return {
        "startupProbe": {**alive, "periodSeconds": 2, "failureThreshold": 150},
        "livenessProbe": {**alive, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "metrics"},
            "timeoutSeconds": 3,
            "periodSeconds": 3,
            "failureThreshold": 2,
        },
    }


def container(arguments: list[str], port: Manifest, variables: list[Manifest], mounts: list[Manifest]) -> Manifest:
    """Makes the container of a process that serves. Memory has a limit and CPU none: a limit of CPU stops a process
    in the middle of a request, and says to its callers that it is slow."""
    return {
        "name": CONTAINER,
        "image": IMAGE,
        "args": arguments,
        "envFrom": [{"configMapRef": {"name": "souk-settings"}}],
        "env": variables,
        "ports": [port, {"name": "metrics", "containerPort": METRICS}],
        **probes(),
        "lifecycle": {"preStop": {"sleep": {"seconds": FORGOTTEN}}},
        "resources": {"requests": {"cpu": "250m", "memory": "192Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": [
            {"name": "data", "mountPath": DATA},
            {"name": "tmp", "mountPath": "/tmp"},
            *mounts,
        ],
    }


def waits_for_schema(service: str, seconds: int, mount: Manifest) -> Manifest:
    """Makes the container that ends when the service's database has the schema of this version."""
    return {
        "name": "schema",
        "image": IMAGE,
        "args": ["migrate", service, "--wait", str(seconds)],
        "env": [DATABASE_URL],
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": [mount],
    }


def pod(name: str, component: str, main: Manifest, before: list[Manifest], volumes: list[Manifest]) -> Manifest:
    """Makes the template of the pods of a workload that serves."""
    return {
        "metadata": {"labels": labels(name, component)},
        "spec": {
            "serviceAccountName": name,
            "automountServiceAccountToken": False,
            # A Service named souk-... would give every pod variables SOUK_..., which stop the start as unknown.
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": GRACE,
            "securityContext": rights(),
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": selector(name)},
                }
            ],
            **({"initContainers": before} if before else {}),
            "containers": [main],
            "volumes": [
                {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}},
                {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
                *volumes,
            ],
        },
    }


def rights() -> Manifest:
    """Makes the rights of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
