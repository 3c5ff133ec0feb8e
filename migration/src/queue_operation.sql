-- What people did to the queue: the audit, and bulk operations with their items.

CREATE TABLE queue.op_log (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at            timestamptz NOT NULL DEFAULT clock_timestamp(),
  db_user       text NOT NULL DEFAULT session_user,   -- the only part of the actor that a client cannot invent
  actor         text NOT NULL,
  via           text NOT NULL,
  action        text NOT NULL,
  selector      jsonb NOT NULL,
  n             integer NOT NULL,
  reason        text,
  before        jsonb,
  after         jsonb,
  operation_id  uuid
);
CREATE INDEX op_log_at ON queue.op_log (at DESC, id DESC);

CREATE TABLE queue.operation (
  id          uuid PRIMARY KEY,          -- made by the client: a repeated request is the same operation
  verb        text NOT NULL,
  args        jsonb NOT NULL,
  selector    jsonb NOT NULL,
  as_of       timestamptz NOT NULL,
  state       text NOT NULL,
  planned     jsonb,
  cursor      jsonb,
  chunk       integer NOT NULL DEFAULT 500,
  rate_per_s  integer,
  changed     bigint NOT NULL DEFAULT 0,
  skipped     bigint NOT NULL DEFAULT 0,
  actor       text NOT NULL,
  reason      text,
  created_at  timestamptz NOT NULL DEFAULT now(),
  ended_at    timestamptz,
  CONSTRAINT operation_state_known CHECK (state IN ('planned', 'confirmed', 'running', 'paused', 'stopped', 'done', 'failed'))
);

CREATE TABLE queue.operation_item (
  operation_id  uuid NOT NULL REFERENCES queue.operation,
  job_id        uuid NOT NULL,
  before        jsonb NOT NULL,
  wrote_rev     bigint,                  -- with `before`: what a later undo needs
  result        text NOT NULL,
  PRIMARY KEY (operation_id, job_id)
);
