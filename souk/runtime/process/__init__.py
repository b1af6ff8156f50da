"""What a process of the operating system needs: signals, sockets, children, HTTP."""
