"""The Gateway API: routes whose parent is a Service (GAMMA), and what stands before our own gateway."""
