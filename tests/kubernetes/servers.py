"""The servers of a control plane on loopback: etcd, the programs of Kubernetes, and kwok, which plays the nodes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from souk.kernel.addresses import LOOPBACK
from souk.testing.engines import engine_path
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, is_answered, listens
from tests.kubernetes.credentials import ADMIN, CONTROLLERS, SCHEDULER, Credentials


class Etcd(EngineServer):
    """The store of the API server. Kubernetes 1.37 wants 3.6; with Debian's 3.4 rollouts hang."""

    name = "etcd"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._program = engine_path("etcd36")
        self.url, self._peers = (f"http://{LOOPBACK}:{free_port()}" for _ in range(2))

    def command(self) -> Sequence[str]:
        return (
            *(self._program, f"--data-dir={self.folder / 'data'}", "--log-level=warn", "--unsafe-no-fsync"),
            *(f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}"),
            *(f"--listen-peer-urls={self._peers}", f"--initial-advertise-peer-urls={self._peers}"),
            f"--initial-cluster=default={self._peers}",
        )

    async def answers(self) -> bool:
        return await is_answered(f"{self.url}/health")


class KubernetesServer(EngineServer):
    """A program of Kubernetes, which lies beside kubectl."""

    def __init__(self, folder: Path, credentials: Credentials) -> None:
        super().__init__(folder)
        self.program = Path(engine_path("kubernetes")).parent / self.name
        self.credentials, self.port = credentials, free_port()

    async def answers(self) -> bool:
        return listens(self.port)


class ApiServer(KubernetesServer):
    """The API server; whom it lets in is in a file of tokens."""

    name = "kube-apiserver"

    def __init__(self, folder: Path, credentials: Credentials, etcd: str) -> None:
        super().__init__(folder, credentials)
        self._etcd = etcd
        self.url = f"https://{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str]:
        files = self.credentials
        return (
            *(str(self.program), f"--etcd-servers={self._etcd}"),
            *(f"--bind-address={LOOPBACK}", f"--advertise-address={LOOPBACK}", f"--secure-port={self.port}"),
            *(f"--tls-cert-file={files.certificate}", f"--tls-private-key-file={files.key}"),
            *("--authorization-mode=Node,RBAC", f"--token-auth-file={files.tokens}"),
            *("--service-account-issuer=https://kubernetes.default.svc", "--endpoint-reconciler-type=none"),
            *(f"--service-account-key-file={files.key}", f"--service-account-signing-key-file={files.key}"),
            "--service-cluster-ip-range=10.96.0.0/16",
        )

    async def answers(self) -> bool:
        try:
            return (await self.get("/readyz")).is_success
        except httpx.HTTPError:
            return False

    async def get(self, path: str) -> httpx.Response:
        """Asks it as its administrator."""
        credentials = self.credentials
        headers = {"authorization": f"Bearer {credentials.token_of(ADMIN)}"}
        async with httpx.AsyncClient(verify=credentials.trust, trust_env=False, timeout=30.0) as client:
            return await client.get(f"{self.url}{path}", headers=headers)


class ControllerManager(KubernetesServer):
    """The controllers: Deployments, Jobs, autoscalers, disruption budgets, endpoints.

    kwok reports that a node lives only every ten minutes. One that is taken for dead meanwhile makes its pods not
    ready, and nothing here makes them ready again: so none is, however long the tests run.
    """

    name = "kube-controller-manager"

    def command(self) -> Sequence[str]:
        files = self.credentials
        return (
            *(str(self.program), *as_client(files.kubeconfig(CONTROLLERS)), *on_loopback(self.port, self.folder)),
            *("--use-service-account-credentials=true", f"--service-account-private-key-file={files.key}"),
            *(f"--root-ca-file={files.authority}", "--horizontal-pod-autoscaler-sync-period=1s"),
            *("--horizontal-pod-autoscaler-cpu-initialization-period=0s", "--node-monitor-grace-period=24h"),
        )


class Scheduler(KubernetesServer):
    """The scheduler: which pod goes to which node."""

    name = "kube-scheduler"

    def command(self) -> Sequence[str]:
        own = as_client(self.credentials.kubeconfig(SCHEDULER))
        return (str(self.program), *own, *on_loopback(self.port, self.folder))


class Kwok(EngineServer):
    """Plays the kubelet of every node as its stages say: no container runs, and no probe is asked."""

    name = "kwok"

    def __init__(self, folder: Path, credentials: Credentials, stages: Path) -> None:
        super().__init__(folder)
        self._program, self._port, self._stages = engine_path("kwok"), free_port(), stages
        self._kubeconfig = credentials.kubeconfig(ADMIN)

    def environment(self) -> Mapping[str, str]:
        return {"HOME": str(self.folder)}

    def command(self) -> Sequence[str]:
        return (
            *(self._program, f"--kubeconfig={self._kubeconfig}", f"--config={self._stages}"),
            *("--manage-all-nodes=true", f"--node-ip={LOOPBACK}", "--cidr=10.244.0.0/16"),
            f"--server-address={LOOPBACK}:{self._port}",
        )

    async def answers(self) -> bool:
        return listens(self._port)


def as_client(kubeconfig: Path) -> Sequence[str]:
    """Gives the options by which a component finds the API server."""
    names = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return (*(f"--{name}={kubeconfig}" for name in names), "--leader-elect=false")


def on_loopback(port: int, folder: Path) -> Sequence[str]:
    """Gives the options for where a component listens."""
    return (f"--bind-address={LOOPBACK}", f"--secure-port={port}", f"--cert-dir={folder / 'certs'}")
