"""Istio: VirtualService, DestinationRule, PeerAuthentication, AuthorizationPolicy."""
