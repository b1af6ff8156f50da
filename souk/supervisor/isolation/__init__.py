"""Isolation of processes in a mesh: network namespaces, and the rules of who gets one."""
