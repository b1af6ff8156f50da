"""Reads the mesh's policy file, whole: YAML in, a MeshPolicy out, or everything that is wrong with it.

    defaults:                       for every service
      tries: {attempts: 2}
    services:
      product:
        split: {weights: {v1: 90, v2: 10}}
        methods:
          GetProduct: {timeout: 500ms}

docs/mesh.md has every field. What a file does not say is as the contracts and the layers inside a process have it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from souk.descriptors.contract import Method
from souk.gateway.routing.model import Finding
from souk.gateway.routing.reading.nodes import NodeReader
from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import meant
from souk.mesh.policy.levels import AS_CONTRACTED, Level, rules_of
from souk.mesh.policy.methods import is_harmless, methods_of
from souk.mesh.policy.policy import MeshPolicy, ServiceRules
from souk.mesh.policy.values import ValueReader, is_none
from souk.runtime.service import Service

DEFAULT_FILE = Path("contracts/mesh.yaml")
LARGEST = 1024 * 1024
OF_CALLS = ("timeout", "try_timeout", "tries", "limits", "faults")
OF_A_SERVICE = ("split", "mirror")
OF_INSTANCES = ("ejection", "locality")
_DEFAULTS = (*OF_CALLS, *OF_INSTANCES)
_SERVICE = (*_DEFAULTS, *OF_A_SERVICE, "methods")
_METHOD = (*OF_CALLS, *OF_A_SERVICE)


class MeshPolicyRefused(ConfigurationError):
    """A policy file is wrong. Its text has one line for each thing that is, as `file:line:column: what`."""

    def __init__(self, path: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=lambda one: (one.line, one.column)))
        super().__init__("\n".join(f"{path}:{one.line}:{one.column}: {one.text}" for one in self.findings))


def policy_path(named: Path | None) -> Path | None:
    """Gives the file of the policy: the one that SOUK_MESH_POLICY has `named`, or contracts/mesh.yaml below the current
    directory if it exists. None for the defaults."""
    if named is not None:
        return named
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def load_policy(path: Path, services: Sequence[Service]) -> MeshPolicy:
    """Reads a file about these services. Raises MeshPolicyRefused with everything that is wrong."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise MeshPolicyRefused(str(path), [Finding(1, 1, f"cannot be read: {error.strerror}")]) from error
    if len(content) > LARGEST:
        raise MeshPolicyRefused(str(path), [Finding(1, 1, f"is larger than {LARGEST:,} bytes")])
    try:
        return parse_policy(content.decode(), services, str(path))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MeshPolicyRefused(str(path), [Finding(line, 1, "is not UTF-8")]) from error


def default_policy(services: Sequence[Service]) -> MeshPolicy:
    """Returns the policy of these services without a file."""
    return parse_policy("", services)


def parse_policy(text: str, services: Sequence[Service], path: str = "mesh.yaml") -> MeshPolicy:
    """Reads the text of a file, which messages name by `path`. Raises MeshPolicyRefused with all that is wrong."""
    reader = NodeReader()
    policy = MeshPolicy({})
    with reader.composing():
        policy = _PolicyDocument(reader, services).read(yaml.compose(text, Loader=yaml.SafeLoader))
    if reader.findings:
        raise MeshPolicyRefused(path, reader.findings)
    return policy


class _PolicyDocument:
    def __init__(self, nodes: NodeReader, services: Sequence[Service]) -> None:
        self._nodes, self._values = nodes, ValueReader(nodes)
        self._services = {service.name: service for service in services}

    def read(self, root: yaml.Node | None) -> MeshPolicy:
        given = {} if root is None else self._nodes.fields(root, "a policy file", ("defaults", "services"))
        defaults, listed = Level(), dict[str, yaml.Node]()
        if "defaults" in given:
            defaults = self._level(self._nodes.fields(given["defaults"], "defaults", _DEFAULTS), defaults)
        if "services" in given:
            for name, node, at in self._nodes.entries(given["services"], "services"):
                listed[name] = node
                if name not in self._services:
                    self._nodes.wrong(at, f"there is no service {name!r}{meant(name, self._services)}")
        return MeshPolicy(
            {name: self._service(service, listed.get(name), defaults) for name, service in self._services.items()}
        )

    def _service(self, service: Service, node: yaml.Node | None, defaults: Level) -> ServiceRules:
        methods = methods_of(service)
        given = {} if node is None else self._nodes.fields(node, f"the service {service.name!r}", _SERVICE)
        level = self._level(given, defaults)
        self._require_use(given, service.name, methods)
        levels = dict.fromkeys(methods, level)
        if "methods" in given:
            for name, inner, at in self._nodes.entries(given["methods"], "methods"):
                method = _method(name, methods)
                if method is None:
                    known = {one.name for one in methods.values()}
                    self._nodes.wrong(at, f"{service.name} has no method {name!r}{meant(name, known)}")
                else:
                    levels[method.full_name] = self._method_level(inner, method, service.name, level)
        rules = {name: rules_of(method, levels[name]) for name, method in methods.items()}
        return ServiceRules(rules, level.budget, level.ejection, level.limits, level.locality)

    def _method_level(self, node: yaml.Node, method: Method, service: str, above: Level) -> Level:
        nodes = self._nodes
        if isinstance(node, yaml.MappingNode):
            for key, _ in node.value:
                if getattr(key, "value", "") in OF_INSTANCES:
                    nodes.wrong(key, f"{key.value} concerns instances, whatever the method: give it for {service}")
            kept = [(key, value) for key, value in node.value if getattr(key, "value", "") not in OF_INSTANCES]
            node = yaml.MappingNode(node.tag, kept, node.start_mark, node.end_mark)
        given = nodes.fields(node, f"the method {method.name}", _METHOD)
        level = self._level(given, above)
        self._require_fit(given, method, level)
        if level.budget != above.budget:
            nodes.wrong(given["tries"], f"all methods of {service} share one budget: give it there")
        if "limits" in given and not method.policy.isolated:
            nodes.wrong(
                given["limits"],
                f"{method.name} shares the limits of {service}: give them there, or set `isolated` in its contract",
            )
        if "tries" in given and not is_none(given["tries"]) and not is_harmless(method):
            why = "is a stream" if not method.unary else "is not idempotent by its contract, and has no key"
            nodes.wrong(given["tries"], f"{method.name} must not be tried again: it {why}")
        if "mirror" in given and not is_none(given["mirror"]) and not (method.read_only and method.unary):
            nodes.wrong(given["mirror"], f"{method.name} must not be copied: its contract does not say NO_SIDE_EFFECTS")
        return level

    def _require_fit(self, given: Mapping[str, yaml.Node], method: Method, level: Level) -> None:
        """Keeps times above those of the contract, which would have no effect."""
        for name, contracted in (("timeout", method.policy.timeout), ("try_timeout", method.policy.try_timeout)):
            value = getattr(level, name)
            if name in given and value is not None and value > contracted:
                self._nodes.wrong(
                    given[name],
                    f"the contract of {method.name} gives it {contracted:g}s: a longer {name} has no effect",
                )

    def _require_use(self, given: Mapping[str, yaml.Node], service: str, methods: Mapping[str, Method]) -> None:
        """Keeps what no method of the service would use."""
        own = [method for method in methods.values() if not method.full_name.startswith("/soukapi.")]
        if "tries" in given and not is_none(given["tries"]) and not any(is_harmless(one) for one in own):
            self._nodes.wrong(given["tries"], f"no method of {service} may be tried again by its contract")
        if "mirror" in given and not is_none(given["mirror"]) and not any(one.read_only and one.unary for one in own):
            self._nodes.wrong(given["mirror"], f"no method of {service} may be copied: none says NO_SIDE_EFFECTS")

    def _level(self, given: Mapping[str, yaml.Node], above: Level) -> Level:
        read, changed = self._values, dict[str, Any]()
        for name in ("timeout", "try_timeout"):
            if name in given:
                changed[name] = read.time(given[name], name)
        for name in ("tries", "limits", "ejection", "locality", *OF_A_SERVICE):
            if name in given:
                changed[name] = getattr(read, name)(given[name], getattr(above, name))
        if "tries" in given:
            changed["budget"] = read.budget(given["tries"], above.budget)
        if "faults" in given:
            changed |= self._faults(given["faults"])
        level = replace(above, **changed)
        if "try_timeout" in given and (level.try_timeout or 0.0) > (level.timeout or AS_CONTRACTED):
            self._nodes.wrong(given["try_timeout"], "try_timeout, the limit of one try, must not be above timeout")
        return level

    def _faults(self, node: yaml.Node) -> dict[str, Any]:
        if is_none(node):
            return {"delay": None, "abort": None}
        given = self._nodes.fields(node, "faults", ("delay", "abort"))
        if not given and isinstance(node, yaml.MappingNode):
            self._nodes.wrong(node, "faults needs a delay, an abort, or both")
        return {
            "delay": self._values.delay(given["delay"]) if "delay" in given else None,
            "abort": self._values.abort(given["abort"]) if "abort" in given else None,
        }


def _method(name: str, methods: Mapping[str, Method]) -> Method | None:
    """Finds a method by its full name with or without the slash, or by its own name; the service's own come first."""
    full = name if name.startswith("/") else f"/{name}"
    if full in methods:
        return methods[full]
    return next((method for method in methods.values() if method.name == name), None)
