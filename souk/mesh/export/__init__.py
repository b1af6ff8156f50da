"""A policy, and who may call whom, as resources of other meshes."""
