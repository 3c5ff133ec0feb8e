-- Recordings, and the signs of life of their recorders.

CREATE SCHEMA IF NOT EXISTS spool;

CREATE TABLE spool.setting (
  key         text PRIMARY KEY,
  value       jsonb NOT NULL,
  updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE spool.recording (
  id                text PRIMARY KEY,
  owner_id          text NOT NULL,
  source            text NOT NULL,                    -- spool: segments come through the API; bucket: the recorder writes to the store
  policy            text NOT NULL DEFAULT 'degrade',  -- what holes do to the result
  webhook           text,                             -- name of an endpoint; no key, because endpoints come from the configuration
  token_generation  integer NOT NULL DEFAULT 0,

  state             text NOT NULL DEFAULT 'live',
  state_at          timestamptz NOT NULL DEFAULT now(),
  provisional       boolean NOT NULL DEFAULT false,   -- the end was silence: recording may go on
  declared          jsonb,                            -- what the recorder said it made
  declared_at       timestamptz,
  tail_confirmed    boolean NOT NULL DEFAULT false,   -- the last segment is known from a declaration, not guessed
  signalled_at      timestamptz,                      -- the completion call
  ended_at          timestamptz,                      -- the last time the recording left `live`

  plan_version      integer NOT NULL DEFAULT 1,       -- the plan being made or served
  frozen_version    integer NOT NULL DEFAULT 0,       -- the newest plan that can no longer change
  gaps_accepted     boolean NOT NULL DEFAULT false,   -- an operator takes the holes as they are
  gaps              jsonb NOT NULL DEFAULT '[]',
  degraded          boolean NOT NULL DEFAULT false,
  whole_file        jsonb,                            -- the fallback upload: staging URI, size, hash
  error_code        text,
  error_message     text,

  result_version    integer,                          -- the plan version of the result that is served
  result_key        text,
  result_etag       text,
  result_bytes      bigint,
  result_sha256     bytea,
  duration_ms       bigint,
  width             integer,
  height            integer,
  fps               double precision,
  video_codec       text,
  audio_codec       text,

  target_duration_s integer,                          -- of the playlists; decided once, never changed
  stored_seq        bigint NOT NULL DEFAULT 0,        -- grows with every segment that becomes stored or lost
  manifest_seq      bigint NOT NULL DEFAULT 0,        -- stored_seq as the manifest in the store knows it
  manifest_at       timestamptz,
  event_seq         bigint NOT NULL DEFAULT 0,        -- sequence number of the last event
  created_at        timestamptz NOT NULL DEFAULT now(),

  CONSTRAINT recording_id_shape CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
  CONSTRAINT recording_owner_shape CHECK (owner_id ~ '^[A-Za-z0-9_-]{1,64}$'),
  CONSTRAINT recording_source_known CHECK (source IN ('spool', 'bucket')),
  CONSTRAINT recording_policy_known CHECK (policy IN ('degrade', 'fail')),
  CONSTRAINT recording_state_known
    CHECK (state IN ('live', 'finalizing', 'ready', 'failed', 'archived', 'cancelled', 'deleted')),
  CONSTRAINT recording_plan_versions CHECK (plan_version >= 1 AND frozen_version BETWEEN 0 AND plan_version),
  -- ready says that a verified result exists: never without its key.
  CONSTRAINT recording_ready_has_result CHECK (state NOT IN ('ready', 'archived') OR result_key IS NOT NULL),
  CONSTRAINT recording_manifest_behind CHECK (manifest_seq <= stored_seq),
  CONSTRAINT recording_result_sha256_length CHECK (octet_length(result_sha256) = 32)
) WITH (fillfactor = 80);

CREATE INDEX recording_newest ON spool.recording (created_at DESC, id DESC);
CREATE INDEX recording_owner ON spool.recording (owner_id, created_at DESC, id DESC);
CREATE INDEX recording_state ON spool.recording (state, created_at DESC, id DESC);
CREATE INDEX recording_open ON spool.recording (state_at) WHERE state IN ('live', 'finalizing');

-- A table of its own, so that a sign of life never waits for a transaction that holds the recording's row.
CREATE TABLE spool.liveness (
  recording_id    text PRIMARY KEY REFERENCES spool.recording ON DELETE CASCADE,
  state           text NOT NULL DEFAULT 'recording',
  heard_at        timestamptz NOT NULL DEFAULT now(),
  silent_minutes  integer NOT NULL DEFAULT 0,   -- only minutes in which `sweep` ran: our own outage ends no recording
  swept_at        timestamptz,
  CONSTRAINT liveness_state_known CHECK (state IN ('recording', 'paused'))
) WITH (fillfactor = 50);

-- How the schema stands, readable for every role, so that a program can tell whether it fits.
-- The number of the newest migration:
CREATE FUNCTION spool.schema_version() RETURNS integer
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$ SELECT (value ->> 'version')::integer FROM spool.setting WHERE key = 'schema' $$;

-- The oldest number that a program must know to work with it:
CREATE FUNCTION spool.schema_oldest() RETURNS integer
  LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$ SELECT (value ->> 'oldest')::integer FROM spool.setting WHERE key = 'schema' $$;
