"""One Job for each service with a database: it brings the schema to this version."""

from collections.abc import Iterator

from names import IMAGE, SERVICES, labels
from pods import DATABASE_URL, RESTRICTED, Manifest, database, rights

from souk.runtime.service import Service

SEPARATOR = "--"
"""Between a Job's name and the image's tag, which a kustomization puts there: a Job cannot be changed, so each version
has Jobs of its own."""
OUTSIDE = {"labels": {"sidecar.istio.io/inject": "false"}, "annotations": {"linkerd.io/inject": "disabled"}}
"""What a pod says to meshes so that it gets no proxy, beside which it would never end. It is in the base, since a Job
cannot be changed: a mesh may join without a new version."""
KEPT = 24 * 60 * 60
"""Seconds for which a Job that has ended can be looked at."""


def jobs() -> Iterator[Manifest]:
    """Gives the Jobs of all services with a database."""
    for service in SERVICES:
        if service.migrations is not None:
            yield job(service)


def job(service: Service) -> Manifest:
    """Makes the Job of a service. It has no settings but the database: they may change without a new version."""
    own = labels(f"migrate-{service.name}", "migration")
    volume, mount = database(service.name)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"migrate-{service.name}{SEPARATOR}latest", "labels": own},
        "spec": {
            "backoffLimit": 10,
            "ttlSecondsAfterFinished": KEPT,
            "template": {
                "metadata": {**OUTSIDE, "labels": own | OUTSIDE["labels"]},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": service.name,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": rights(),
                    "containers": [
                        {
                            "name": "migrate",
                            "image": IMAGE,
                            "args": ["migrate", service.name],
                            "env": [DATABASE_URL],
                            "resources": {
                                "requests": {"cpu": "100m", "memory": "128Mi"},
                                "limits": {"memory": "512Mi"},
                            },
                            "securityContext": RESTRICTED,
                            "volumeMounts": [mount],
                        }
                    ],
                    "volumes": [volume],
                },
            },
        },
    }
