"""The objects of one workload: a service, or the gateway."""

from collections.abc import Iterator

from names import (
    CONTAINER,
    GATEWAY,
    GRPC,
    HTTP,
    METRICS,
    RUN,
    WAIT_FOR_SCHEMA,
    dns_name,
    labels,
    selector,
)
from pods import (
    DATABASE_URL,
    Manifest,
    container,
    database,
    environment,
    files,
    pod,
    secret,
    tls,
    value,
    waits_for_schema,
)

from souk.runtime.service import Service

NEEDS: dict[str, tuple[list[Manifest], list[tuple[Manifest, Manifest]]]] = {
    "payment": (
        [
            secret("SOUK_PAYMENT_PROVIDER_URL", "payment-provider", "url"),
            value("SOUK_PAYMENT_PROVIDER_KEY_FILE", f"{RUN}/provider/key"),
        ],
        [files("provider", "payment-provider", "provider")],
    ),
    "notification": (
        [secret("SOUK_NOTIFICATION_SMTP", "notification-smtp", "url")],
        [],
    ),
}
"""By service, the variables and files for what it uses outside the system, which it must not start without."""


def service_objects(service: Service) -> Iterator[Manifest]:
    """Gives the objects of a service."""
    name = service.name
    variables, mounted = NEEDS.get(name, ([], []))
    own, secrets, before = [*variables], [tls(name), *mounted], []
    if service.migrations is not None:
        own.insert(0, DATABASE_URL)
        secrets.append(database(name))
        before.append(waits_for_schema(name, WAIT_FOR_SCHEMA, database(name)[1]))
    main = container(
        ["serve", name],
        {"name": "grpc", "containerPort": GRPC},
        [*environment(*own), value("SOUK_PORT", str(GRPC))],
        [mount for _, mount in secrets],
    )
    yield account(name, "service")
    yield headless(name)
    yield deployment(name, "service", pod(name, "service", main, before, [volume for volume, _ in secrets]))
    yield from scaling(name, "service")


def gateway_objects() -> Iterator[Manifest]:
    """Gives the objects of the gateway."""
    volume, mount = tls(GATEWAY)
    main = container(
        ["serve", GATEWAY],
        {"name": "http", "containerPort": HTTP},
        environment(value("SOUK_PORT", str(HTTP))),
        [mount],
    )
    yield account(GATEWAY, "gateway")
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": GATEWAY, "labels": labels(GATEWAY, "gateway")},
        "spec": {
            "selector": selector(GATEWAY),
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }
    yield deployment(GATEWAY, "gateway", pod(GATEWAY, "gateway", main, [], [volume]))
    yield from scaling(GATEWAY, "gateway")


def account(name: str, component: str) -> Manifest:
    """Makes an account without a token: no process of ours calls the cluster's API."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "labels": labels(name, component)},
        "automountServiceAccountToken": False,
    }


def headless(name: str) -> Manifest:
    """Makes the Service that gives each ready pod a record in DNS: `_grpc._tcp.order-service...` and its address."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": dns_name(name), "labels": labels(name, "service")},
        "spec": {
            "clusterIP": "None",
            "selector": selector(name),
            "ports": [
                {"name": "grpc", "port": GRPC, "targetPort": "grpc"},
                {"name": "metrics", "port": METRICS, "targetPort": "metrics", "appProtocol": "http"},
            ],
        },
    }


def deployment(name: str, component: str, template: Manifest) -> Manifest:
    """Makes a Deployment, which leaves the number of its pods to its autoscaler."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels(name, component)},
        "spec": {
            "revisionHistoryLimit": 5,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": selector(name)},
            "template": template,
        },
    }


def scaling(name: str, component: str) -> Iterator[Manifest]:
    """Gives what decides how many pods a workload has, and how many of them may be away on purpose.

    A process uses one core at most: from 0.6 of it on, another one joins. What a proxy beside it uses does not count.
    """
    yield {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "labels": labels(name, component)},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 2,
            "maxReplicas": 6,
            "metrics": [
                {
                    "type": "ContainerResource",
                    "containerResource": {
                        "name": "cpu",
                        "container": CONTAINER,
                        "target": {"type": "AverageValue", "averageValue": "600m"},
                    },
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        },
    }
    yield {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "labels": labels(name, component)},
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(name)},
        },
    }
