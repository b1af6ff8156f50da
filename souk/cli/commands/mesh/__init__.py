"""`souk mesh`: who may call whom, and the mesh's policy."""
