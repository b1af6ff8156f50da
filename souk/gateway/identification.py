"""Puts together who may call: identity, and the endpoint that gives tokens to clients, by the methods of the issuer."""

from functools import partial

from souk.gateway.auth.api_keys import ApiKeys
from souk.gateway.auth.bearer import BearerTokens
from souk.gateway.auth.claims import TrustedIssuer
from souk.gateway.auth.client_certificates import ClientCertificates
from souk.gateway.auth.discovery import found_issuer
from souk.gateway.auth.identity import Identity, Issuer
from souk.gateway.auth.jwks import SigningKeys
from souk.gateway.auth.token_endpoint import TokenEndpoint
from souk.gateway.backend import Backend
from souk.gateway.limits.limiter import RateLimits
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import Clock


def identity_of(issuer: Issuer, backend: Backend, settings: GatewaySettings, clock: Clock) -> Identity:
    """Makes the identity of an issuer and of the others that the settings name. Raises ConfigurationError."""
    for name in (issuer.keys_method, issuer.roles_method):
        backend.method(name)
    keys = SigningKeys(partial(backend.signing_keys, issuer.keys_method), settings, clock)
    own = TrustedIssuer(issuer.issuer, issuer.audience, keys)
    others = (found_issuer(one, settings, clock) for one in settings.issuers)
    tokens = BearerTokens([own, *others], settings.verified_tokens, clock)
    api_keys = None
    if issuer.api_keys_method:
        backend.method(issuer.api_keys_method)
        api_keys = ApiKeys(partial(backend.api_key, issuer.api_keys_method), settings, clock)
    certificates = None if settings.certificates is None else ClientCertificates(settings.certificates, clock)
    roles_of = partial(backend.roles, issuer.roles_method)
    return Identity(tokens, roles_of, api_keys, certificates, cookies=bool(issuer.login_method))


def token_endpoint_of(issuer: Issuer, backend: Backend, limits: RateLimits | None) -> TokenEndpoint | None:
    """Makes the endpoint of tokens for clients; None if the issuer gives none. Raises ConfigurationError."""
    if not issuer.client_tokens_method:
        return None
    method = backend.method(issuer.client_tokens_method)
    held = None if limits is None else limits.of_method(method)
    return TokenEndpoint(partial(backend.client_token, issuer.client_tokens_method), held)
