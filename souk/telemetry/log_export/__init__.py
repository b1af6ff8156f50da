"""Log records by OpenTelemetry's log data model, exported by OTLP."""
