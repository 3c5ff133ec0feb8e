-- Who works, on what, and by which rules.

CREATE TABLE queue.worker (
  id           uuid PRIMARY KEY,     -- one per process start, never the pod's name
  pod          text,
  node         text,
  version      text,
  kinds        jsonb,
  slots        integer,
  busy         integer,
  draining     boolean NOT NULL DEFAULT false,
  rss_kb       integer,
  started_at   timestamptz NOT NULL DEFAULT now(),
  lease_until  timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE queue.queue (
  name           text PRIMARY KEY,
  paused_at      timestamptz,
  paused_by      text,
  paused_reason  text,
  paused_until   timestamptz,
  max_running    integer,
  key_max        integer,
  policy         jsonb NOT NULL DEFAULT '{}',
  CONSTRAINT queue_max_running_positive CHECK (max_running > 0),
  CONSTRAINT queue_key_max_positive CHECK (key_max > 0)
);

-- Rows come from the program, by queue.declare_kinds, and never from a migration: a migration is history and does not change.
CREATE TABLE queue.kind (
  kind          text PRIMARY KEY,
  queue         text,                            -- null: any queue
  schema_ver    smallint NOT NULL DEFAULT 1,
  priority      smallint NOT NULL DEFAULT 5,
  max_attempts  integer NOT NULL DEFAULT 10,
  unique_mask   smallint,                        -- null: never unique
  max_runtime   interval NOT NULL DEFAULT '1 hour',
  on_end        text,
  crash_cap     smallint NOT NULL DEFAULT 10,
  aliases       text[] NOT NULL DEFAULT '{}',
  updated_at    timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT kind_mask_known CHECK (unique_mask BETWEEN 1 AND 31),
  CONSTRAINT kind_attempts_positive CHECK (max_attempts > 0),
  CONSTRAINT kind_crash_cap_positive CHECK (crash_cap > 0)
);

CREATE TABLE queue.schedule (
  name     text PRIMARY KEY,
  kind     text NOT NULL,
  every    interval NOT NULL,
  next_at  timestamptz NOT NULL,
  last_at  timestamptz,
  enabled  boolean NOT NULL DEFAULT true
);

CREATE TABLE queue.leader (
  name    text PRIMARY KEY,
  holder  uuid,
  term    bigint NOT NULL DEFAULT 0,
  until   timestamptz
);

-- Writes the kinds of the running program and the queues they name; returns how many kinds were new or changed.
-- A kind that the list leaves out is kept: a newer program may have declared it during a rolling update.
-- `kinds`: [{"kind", "queue", "schema_ver", "priority", "max_attempts", "unique_mask", "max_runtime_s", "on_end", "crash_cap", "aliases"}]
CREATE FUNCTION queue.declare_kinds(kinds jsonb) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  changed integer;
BEGIN
  INSERT INTO queue.queue (name)
    SELECT DISTINCT k.queue
      FROM jsonb_to_recordset(declare_kinds.kinds) AS k (queue text)
     WHERE k.queue IS NOT NULL
     ORDER BY 1                                    -- one order for all callers, else two of them deadlock
    ON CONFLICT (name) DO NOTHING;

  INSERT INTO queue.kind AS old (kind, queue, schema_ver, priority, max_attempts, unique_mask, max_runtime, on_end, crash_cap, aliases)
    SELECT k.kind, k.queue, coalesce(k.schema_ver, 1), coalesce(k.priority, 5), coalesce(k.max_attempts, 10),
           k.unique_mask, make_interval(secs => coalesce(k.max_runtime_s, 3600)), k.on_end,
           coalesce(k.crash_cap, 10), coalesce(k.aliases, '{}')
      FROM jsonb_to_recordset(declare_kinds.kinds) AS k (
             kind text, queue text, schema_ver smallint, priority smallint, max_attempts integer, unique_mask smallint,
             max_runtime_s double precision, on_end text, crash_cap smallint, aliases text[])
     ORDER BY k.kind
    ON CONFLICT (kind) DO UPDATE
      SET queue = excluded.queue, schema_ver = excluded.schema_ver, priority = excluded.priority,
          max_attempts = excluded.max_attempts, unique_mask = excluded.unique_mask, max_runtime = excluded.max_runtime,
          on_end = excluded.on_end, crash_cap = excluded.crash_cap, aliases = excluded.aliases, updated_at = now()
      WHERE (old.queue, old.schema_ver, old.priority, old.max_attempts, old.unique_mask, old.max_runtime, old.on_end,
             old.crash_cap, old.aliases)
            IS DISTINCT FROM
            (excluded.queue, excluded.schema_ver, excluded.priority, excluded.max_attempts, excluded.unique_mask,
             excluded.max_runtime, excluded.on_end, excluded.crash_cap, excluded.aliases);
  GET DIAGNOSTICS changed = ROW_COUNT;
  RETURN changed;
END
$$;
