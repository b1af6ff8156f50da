"""The encryption of Web Push messages (RFC 8291, with aes128gcm of RFC 8188). No I/O."""

import os
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD_SIZE = 4096
"""The size of the one record that a message has; push services take no more (RFC 8291, 4)."""
_SALT, _POINT, _SECRET, _TAG = 16, 65, 16, 16
LONGEST = RECORD_SIZE - (_SALT + 4 + 1 + _POINT) - _TAG - 1
"""The most bytes of a message before it is encrypted."""
_LAST_RECORD = b"\x02"


@dataclass(frozen=True, slots=True)
class ReaderKeys:
    """The keys of a subscription: the browser's public key as a point, and its authentication secret (16 bytes)."""

    public: bytes
    secret: bytes = field(repr=False)


def encrypted(plaintext: bytes, keys: ReaderKeys) -> bytes:
    """Encrypts a message for one browser; raises ValueError for keys that are none, and for a message over LONGEST."""
    return encrypted_with(plaintext, keys, generate_private_key(SECP256R1()), os.urandom(_SALT))


def encrypted_with(plaintext: bytes, keys: ReaderKeys, ours: EllipticCurvePrivateKey, salt: bytes) -> bytes:
    """Encrypts with a given key pair and salt, which must not be used again."""
    if len(plaintext) > LONGEST:
        raise ValueError("the message is too long")
    if len(keys.secret) != _SECRET:
        raise ValueError("the authentication secret has another length")
    theirs = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), keys.public)
    our_point = point_of(ours)
    info = b"WebPush: info\x00" + keys.public + our_point
    secret = _derived(ours.exchange(ECDH(), theirs), keys.secret, info, 32)
    key = _derived(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derived(secret, salt, b"Content-Encoding: nonce\x00", 12)
    header = salt + RECORD_SIZE.to_bytes(4, "big") + bytes([_POINT]) + our_point
    return header + AESGCM(key).encrypt(nonce, plaintext + _LAST_RECORD, None)


def point_of(key: EllipticCurvePrivateKey) -> bytes:
    """Returns the public key as an uncompressed point."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)
