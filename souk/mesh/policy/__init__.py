"""What a mesh does with calls, as a file says it; and who may call whom, as contracts and services say it."""
