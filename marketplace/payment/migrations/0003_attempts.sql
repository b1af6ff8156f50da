-- A charge that the provider has voided may be tried anew: `attempt` is then another charge to the provider.
-- `released`: whoever asked was told that nothing was charged, and the provider is still to confirm it.
-- `shared`: more than one may be asking the provider at once.
ALTER TABLE payments ADD COLUMN attempt BIGINT NOT NULL DEFAULT 0;
ALTER TABLE payments ADD COLUMN released BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE payments ADD COLUMN shared BOOLEAN NOT NULL DEFAULT FALSE;

-- A refund that the provider has failed to make is asked for anew, as another one to the provider; `pending`:
-- it has taken it on. One that is neither done nor due waits for an operator.
ALTER TABLE refunds ADD COLUMN attempt BIGINT NOT NULL DEFAULT 0;
ALTER TABLE refunds ADD COLUMN pending BOOLEAN NOT NULL DEFAULT FALSE;
