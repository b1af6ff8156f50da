"""The servicers of the control sockets: of a fleet's supervisor, of one process, and of a system of one process."""
