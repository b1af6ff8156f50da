//go:build tools

// Package tools holds what this module requires: the program that is built with it.
package tools

import _ "github.com/hashicorp/consul"
