"""What a process of the operating system needs: signals, sockets, child processes, HTTP."""
