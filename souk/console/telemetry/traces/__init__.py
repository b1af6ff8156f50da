"""What a trace says, computed from its spans: its tree, its critical path, how it differs from another one. Pure."""
