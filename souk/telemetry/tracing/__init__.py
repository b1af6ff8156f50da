"""Spans: recorded by us, cheaply, and exported by OpenTelemetry's own exporters (docs/tracing.md)."""
