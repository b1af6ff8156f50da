"""What an authority keeps: the state of its rotation, the keys of its signing certificates, and whom it refuses."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from souk.mesh.identity.certificates import KeyPair, load_key_pair
from souk.mesh.identity.refusals import Refusals, WorkloadRefusal, key_of
from souk.mesh.identity.rotation import (
    CertificateSpan,
    RootStage,
    RotationState,
    SigningIntermediate,
    SigningRoot,
)

FORMAT = 1


@dataclass(frozen=True, slots=True)
class AuthorityRecord:
    """The record of an authority. `pairs` has the keys of the roots and of the intermediate, by their ids."""

    trust_domain: str
    rotation: RotationState
    pairs: Mapping[str, KeyPair] = field(repr=False)
    refused: Refusals = field(default_factory=dict)

    @property
    def bundle(self) -> str:
        """The trusted roots as PEM, in the order of their ids, so that a bundle is the same after a take-over."""
        return "".join(self.pairs[each].pem for each in sorted(root.id for root in self.rotation.trusted))


def encoded(record: AuthorityRecord) -> bytes:
    """Makes the content of the authority's file."""
    rotation = asdict(record.rotation)
    pairs = {each: {"certificate": pair.pem, "key": pair.key_pem} for each, pair in sorted(record.pairs.items())}
    refused = [asdict(each) for _, each in sorted(record.refused.items())]
    content = {
        "format": FORMAT,
        "trust_domain": record.trust_domain,
        "rotation": rotation,
        "pairs": pairs,
        "refused": refused,
    }
    return json.dumps(content, indent=1).encode()


def decoded(content: bytes) -> AuthorityRecord:
    """Reads the content of the authority's file. Raises ValueError for content that is damaged or of a newer format."""
    try:
        found = json.loads(content)
        if found["format"] != FORMAT:
            raise ValueError(f"a format that this program does not know: {found['format']}")
        pairs = {each: load_key_pair(pair["certificate"], pair["key"]) for each, pair in found["pairs"].items()}
        rotation = _rotation(found["rotation"])
        if not pairs.keys() >= rotation.ids:
            raise ValueError("a key is missing")
        refusals = [WorkloadRefusal(**each) for each in found["refused"]]
        refused = {key_of(each.kind, each.name): each for each in refusals}
        return AuthorityRecord(str(found["trust_domain"]), rotation, pairs, refused)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None


def _rotation(found: Mapping[str, Any]) -> RotationState:
    intermediate, other = found["intermediate"], found["other"]
    return RotationState(
        RootStage(found["stage"]),
        int(found["since"]),
        _root(found["signing"]),
        SigningIntermediate(str(intermediate["id"]), CertificateSpan(**intermediate["span"])),
        None if other is None else _root(other),
    )


def _root(found: Mapping[str, Any]) -> SigningRoot:
    return SigningRoot(str(found["id"]), CertificateSpan(**found["span"]), int(found["longest_leaf"]))
