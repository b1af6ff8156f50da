//go:build tools

// Package tools holds what this module requires: the program that is built with it.
package tools

import _ "github.com/traefik/traefik/v3/cmd/traefik"
