"""What every process that serves services needs: settings, the data directory, calls, signals and HTTP."""
