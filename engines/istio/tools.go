//go:build tools

// Package tools names the programs, so that `go mod tidy` keeps what they need.
package tools

import (
	_ "istio.io/istio/istioctl/cmd/istioctl"
	_ "istio.io/istio/pilot/cmd/pilot-discovery"
)
