"""Linkerd: routes with annotations, Servers, AuthorizationPolicies, MeshTLSAuthentications."""
