"""What operators do with canaries: the servicer, on the control plane's socket."""
