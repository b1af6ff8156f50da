"""Real Consul and etcd servers with TLS and access control."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx

from souk.testing.certificates import Authority
from souk.testing.free_ports import free_port
from souk.testing.registry.engines import EngineHarness, consul_process, etcd_process, free_url, killed
from souk.testing.registry.harness import PATIENCE

CONSUL_POLICY = 'service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }'
"""The rules that a token for Souk needs, as docs/registries.md lists them."""
AGENT_POLICY = 'node_prefix "" { policy = "write" }'
"""The rules of the agent's own token, which it needs to report to its servers that a service has gone."""


@dataclass
class Secured(EngineHarness):
    """An engine behind TLS that requires client certificates, signed by `authority`, and in Consul's case tokens."""

    authority: Authority | None = None
    management: str = ""
    _token: str = field(default="", init=False)

    def with_token(self, token: str) -> str:
        """Returns the URL with another token, or without one."""
        return self.url.replace(f":{self._token}@", f":{token}@" if token else "")

    @property
    def without_certificate(self) -> str:
        """The URL for a client without a certificate."""
        return self.url.partition("&cert=")[0]

    async def token(self, rules: str) -> str:
        """Creates a token with these rules."""
        name = f"souk-{uuid4().hex}"
        await self._managed("/v1/acl/policy", {"Name": name, "Rules": rules})
        answer = await self._managed("/v1/acl/token", {"Policies": [{"Name": name}]})
        return str(answer["SecretID"])

    async def revoke(self, token: str) -> None:
        """Deletes a token."""
        headers = {"X-Consul-Token": self.management}
        async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
            found = await client.get(f"{self.api}/v1/acl/token/self", headers={"X-Consul-Token": token})
            (await client.delete(f"{self.api}/v1/acl/token/{found.json()['AccessorID']}")).raise_for_status()

    async def let_in(self) -> None:
        """Creates the token of the URL and that of the agent, once."""
        if not self._token:
            await self._managed("/v1/agent/token/agent", {"Token": await self.token(AGENT_POLICY)})
            self._token = await self.token(CONSUL_POLICY)
            self.url = self.url.replace("://", f"://:{self._token}@")

    async def _managed(self, path: str, body: object) -> dict[str, object]:
        headers = {"X-Consul-Token": self.management}
        # Consul accepts the management token only once it has elected itself leader.
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient(trust_env=False, headers=headers) as client:
            while not (answer := await client.put(f"{self.api}{path}", json=body)).is_success:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        found: dict[str, object] = answer.json() if answer.content else {}
        return found


def _shown(authority: Authority) -> str:
    cert, key = authority.issue("souk")
    return f"tls=true&ca={authority.ca}&cert={cert}&key={key}"


@contextmanager
def secured_consul(folder: Path) -> Iterator[Secured]:
    """Runs Consul that requires a token for everything, and a client certificate over HTTPS."""
    authority, port, management = Authority(folder), free_port(), str(uuid4())
    cert, key = authority.issue("consul")
    tls = {"ca_file": str(authority.ca), "cert_file": str(cert), "key_file": str(key), "verify_incoming": True}
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"initial_management": management}}
    config = folder / "secured.json"
    config.write_text(json.dumps({"acl": acl, "tls": {"https": tls}, "ports": {"https": port}}))
    engine, _ = consul_process(
        folder, "-server", "-bootstrap-expect=1", f"-data-dir={folder}/data", f"-config-file={config}"
    )
    url = f"consul://127.0.0.1:{port}?lease=2&settle=0&{_shown(authority)}"
    yield from killed(Secured(url, 4.0, engine=engine, authority=authority, management=management))


@contextmanager
def secured_etcd(folder: Path) -> Iterator[Secured]:
    """Runs etcd that requires a client certificate; its health check needs none."""
    authority, client, health = Authority(folder), free_url("https"), free_url()
    cert, key = authority.issue("etcd")
    engine = etcd_process(
        folder,
        client,
        {"souk": free_url()},
        *("--client-cert-auth", f"--trusted-ca-file={authority.ca}", f"--cert-file={cert}", f"--key-file={key}"),
        f"--listen-metrics-urls={health}",
        health=health,
    )
    url = f"{client.replace('https', 'etcd', 1)}?lease=2&{_shown(authority)}"
    yield from killed(Secured(url, 4.0, engine=engine, authority=authority))
