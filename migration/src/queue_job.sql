-- Jobs that are still to be run, and how far the running ones have come.
-- A job that has ended is moved to queue.job_archive, so this table and its indexes stay small.

CREATE SCHEMA IF NOT EXISTS queue;

-- A new number each time a job becomes available: the order of claiming within one priority.
CREATE SEQUENCE queue.ready_seq;
-- A new number at each claim: the fencing token. Whoever holds an older one can change nothing.
CREATE SEQUENCE queue.epoch_seq;

CREATE TABLE queue.job (
  id             uuid PRIMARY KEY,              -- uuid v7 made by the caller, so that a repeated enqueue is the same job
  queue          text NOT NULL,
  kind           text NOT NULL,
  schema_ver     smallint NOT NULL DEFAULT 1,
  owner_id       text,
  subject        text COLLATE "C",              -- "C": a prefix of it is a range of the index
  rev            bigint NOT NULL DEFAULT 0,     -- grows with every transition
  priority       smallint NOT NULL DEFAULT 5,   -- 0 first
  state          smallint NOT NULL,             -- 0 pending 1 scheduled 2 available 3 running 4 retryable
  ready_seq      bigint,
  run_at         timestamptz NOT NULL DEFAULT now(),
  attempt        integer NOT NULL DEFAULT 0,
  max_attempts   integer NOT NULL DEFAULT 10,
  crashes        smallint NOT NULL DEFAULT 0,
  snoozes        integer NOT NULL DEFAULT 0,
  epoch          bigint,
  worker_id      uuid,
  started_at     timestamptz,
  deadline_at    timestamptz,
  cancel_at      timestamptz,
  cancel_reason  text,
  unique_key     text,
  unique_mask    smallint,                      -- bit i: unique while in state i
  conc_key       text,
  on_end         text,                          -- kind enqueued when this job ends discarded or cancelled
  error_class    text,                          -- the last error, so that the list of failing jobs joins nothing
  error_fp       bytea,
  error          text,                          -- cut to 200 characters by the writer
  payload        jsonb NOT NULL,
  trace          jsonb,
  checkpoint     jsonb,
  created_at     timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT job_state_known CHECK (state BETWEEN 0 AND 4),
  CONSTRAINT job_running_is_held CHECK ((state = 3) = (epoch IS NOT NULL AND worker_id IS NOT NULL)),
  CONSTRAINT job_available_is_numbered CHECK ((state = 2) = (ready_seq IS NOT NULL)),
  CONSTRAINT job_key_has_mask CHECK ((unique_key IS NULL) OR (unique_mask IS NOT NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

-- kind stands before priority because slots are per kind: a full kind must not be read through to reach another.
CREATE INDEX job_claim ON queue.job (queue, kind, priority, ready_seq) WHERE state = 2;
CREATE INDEX job_due ON queue.job (run_at) WHERE state IN (1, 4);
CREATE INDEX job_run ON queue.job (worker_id) WHERE state = 3;
CREATE INDEX job_deadline ON queue.job (deadline_at) WHERE state = 3;
CREATE INDEX job_conc ON queue.job (conc_key) WHERE state = 3 AND conc_key IS NOT NULL;
CREATE UNIQUE INDEX job_uniq ON queue.job (unique_key)
  WHERE unique_key IS NOT NULL AND (unique_mask >> state) & 1 = 1;
CREATE INDEX job_live ON queue.job (queue, state, run_at, id);
CREATE INDEX job_subject ON queue.job (subject, id) WHERE subject IS NOT NULL;

CREATE TABLE queue.progress (
  job_id  uuid PRIMARY KEY,
  epoch   bigint NOT NULL,
  pct     real,
  done    bigint,
  total   bigint,
  unit    text,
  stage   text,
  eta_s   integer,
  at      timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
