-- What other systems have said of the trace (W3C Trace Context), of 512 characters at most. Rows from before have none.
ALTER TABLE souk_outbox ADD COLUMN tracestate TEXT NOT NULL DEFAULT '';
ALTER TABLE souk_saga_run ADD COLUMN tracestate TEXT NOT NULL DEFAULT '';
ALTER TABLE souk_two_phase_run ADD COLUMN tracestate TEXT NOT NULL DEFAULT '';
