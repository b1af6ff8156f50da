"""The pages of what was gathered: traces, one trace, two compared, calls and metrics."""
