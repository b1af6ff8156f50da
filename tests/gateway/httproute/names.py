"""The names of the Gateway API's conformance tests of HTTPRoute, and why some of them are no test here."""

CLUSTER = "about objects of a cluster (namespaces, grants, status, other kinds), which a file does not have"

PASSED_OTHERWISE = {
    "HTTPRouteBackendProtocolH2C": "the upstream in the file says `protocol: h2`",
    "HTTPRouteHostnameIntersection": "the hostnames of listeners are written into the routes",
    "HTTPRouteHTTPSListener": "one certificate has the names of all listeners",
    "HTTPRouteInvalidBackendRefUnknownKind": "the file is refused with its line, in place of 500 for the requests",
    "HTTPRouteInvalidNonExistentBackendRef": "the file is refused with its line, in place of 500 for the requests",
    "HTTPRouteListenerHostnameMatching": "the hostnames of listeners are written into the routes",
    "HTTPRouteRedirectPortAndScheme": "a listener's port is the one that the client has used; no listener on 443",
    "HTTPRouteRetryConnectionError": "the answer of a failure is 502 (RFC 9110), not 500 or 503",
    "HTTPRouteRetryWithTimeouts": "with longer times, so that a loaded machine passes, too",
}
"""What differs in a test that passes."""

NOT_HERE = {
    "HTTPRouteCrossNamespace": CLUSTER,
    "HTTPRouteDisallowedKind": CLUSTER,
    "HTTPRouteHTTPSListenerDetectMisdirectedRequests": "a gateway has one listener, so no request is for another one",
    "HTTPRouteInvalidCrossNamespaceBackendRef": CLUSTER,
    "HTTPRouteInvalidCrossNamespaceParentRef": CLUSTER,
    "HTTPRouteInvalidParentRefNotMatchingListenerPort": CLUSTER,
    "HTTPRouteInvalidParentRefNotMatchingSectionName": CLUSTER,
    "HTTPRouteInvalidParentRefSectionNameNotMatchingPort": CLUSTER,
    "HTTPRouteInvalidReferenceGrant": CLUSTER,
    "HTTPRouteListenerPortMatching": "a gateway listens on one port",
    "HTTPRouteMultipleGateways": CLUSTER,
    "HTTPRouteObservedGenerationBump": CLUSTER,
    "HTTPRoutePartiallyInvalidViaInvalidReferenceGrant": CLUSTER,
    "HTTPRouteReferenceGrant": CLUSTER,
    "HTTPRouteServiceTypes": "about how a cluster finds the addresses of a Service",
}
"""Why a test is not here."""

TESTS = (
    "303Redirect 307Redirect 308Redirect BackendProtocolH2C BackendProtocolWebSocket BackendRequestHeaderModifier "
    "BackendRequestRedirect BackendURLRewrite CORS CrossNamespace DisallowedKind ExactPathMatching HeaderMatching "
    "HostnameIntersection HTTPSListener HTTPSListenerDetectMisdirectedRequests InvalidBackendRefUnknownKind "
    "InvalidCrossNamespaceBackendRef InvalidCrossNamespaceParentRef InvalidNonExistentBackendRef "
    "InvalidParentRefNotMatchingListenerPort InvalidParentRefNotMatchingSectionName "
    "InvalidParentRefSectionNameNotMatchingPort InvalidReferenceGrant ListenerHostnameMatching ListenerPortMatching "
    "Matching MatchingAcrossRoutes MethodMatching MultipleGateways NamedRule NoBackendRefs ObservedGenerationBump "
    "PartiallyInvalidViaInvalidReferenceGrant PathMatchOrder QueryParamMatching RedirectHostAndStatus RedirectPath "
    "RedirectPort RedirectPortAndScheme RedirectScheme ReferenceGrant RequestHeaderModifier "
    "RequestHeaderModifierBackendWeights RequestMirror RequestMultipleMirrors RequestPercentageMirror "
    "ResponseHeaderModifier Retry RetryConnectionError RetryWithTimeouts RewriteHost RewritePath ServiceTypes "
    "SimpleSameNamespace TimeoutBackendRequest TimeoutRequest Weight"
)
NAMES = tuple(f"HTTPRoute{name}" for name in TESTS.split())
"""The names, as of kubernetes-sigs/gateway-api in November 2026."""
