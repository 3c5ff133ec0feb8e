-- Numbers for the console and the metrics, written with the work itself, so that nobody counts rows to draw a chart.

-- Flow: one row per minute and shard, added to by the batched acknowledgements.
CREATE TABLE queue.stat (
  queue      text NOT NULL,
  kind       text NOT NULL,
  owner_id   text,
  minute     timestamptz NOT NULL,
  shard      smallint NOT NULL,
  enq        integer NOT NULL DEFAULT 0,
  ok         integer NOT NULL DEFAULT 0,
  err        integer NOT NULL DEFAULT 0,
  dur_ms     bigint NOT NULL DEFAULT 0,
  hist       integer[],              -- histogram of run times: percentiles of two rows cannot be merged, histograms can
  wait_hist  integer[],              -- histogram of the time from available to claimed
  UNIQUE NULLS NOT DISTINCT (queue, kind, owner_id, minute, shard)
);
CREATE INDEX stat_minute ON queue.stat (minute);

-- Depth: sampled by the leader.
CREATE TABLE queue.depth (
  at         timestamptz NOT NULL,
  queue      text NOT NULL,
  kind       text NOT NULL,
  state      smallint NOT NULL,
  n          bigint NOT NULL,
  oldest_at  timestamptz,
  PRIMARY KEY (at, queue, kind, state)
);

-- One row per normalised error text; `error_fp` of jobs and attempts points here.
CREATE TABLE queue.fault (
  fp           bytea PRIMARY KEY,
  kind         text NOT NULL,
  error_class  text NOT NULL,
  template     text NOT NULL,
  n            bigint NOT NULL DEFAULT 0,
  first_at     timestamptz NOT NULL DEFAULT now(),
  last_at      timestamptz NOT NULL DEFAULT now()
);
