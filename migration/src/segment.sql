-- What was received, what is muxed, and what viewers were shown.

CREATE TABLE spool.segment (
  recording_id      text NOT NULL REFERENCES spool.recording ON DELETE CASCADE,   -- takes FOR KEY SHARE: whoever holds the recording FOR UPDATE shuts the door
  track             text NOT NULL,
  index             integer NOT NULL,      -- 0: initialization section; media from 1
  state             text NOT NULL DEFAULT 'received',
  size_bytes        bigint NOT NULL,
  sha256            bytea NOT NULL,
  etag              text,                  -- of the stored object
  staging_uri       text,                  -- where the received bytes lie until they are stored
  sample_index      bytea,                 -- null for the initialization section, and until a directly uploaded object was read
  timescale         bigint,                -- units a second
  tfdt              bigint,                -- decode time of the first sample, in timescale units
  duration          bigint,                -- in timescale units
  sample_count      integer,
  starts_with_sync  boolean,
  codec             jsonb,                 -- of the initialization section: codec string, size, rate, channels
  lost_cause        text,
  received_at       timestamptz NOT NULL DEFAULT now(),
  stored_at         timestamptz,
  PRIMARY KEY (recording_id, track, index),
  CONSTRAINT segment_track_known CHECK (track IN ('video', 'audio')),
  CONSTRAINT segment_state_known CHECK (state IN ('received', 'stored', 'lost')),
  CONSTRAINT segment_index_positive CHECK (index >= 0),
  CONSTRAINT segment_size_positive CHECK (size_bytes >= 0),
  CONSTRAINT segment_sha256_length CHECK (octet_length(sha256) = 32),
  CONSTRAINT segment_stored_has_time CHECK ((state = 'stored') = (stored_at IS NOT NULL))
);
CREATE INDEX segment_received ON spool.segment (recording_id, track, index) WHERE state = 'received';
CREATE INDEX segment_waiting ON spool.segment (received_at) WHERE state = 'received';

-- Written once when the plan is frozen. `body` is text, because its hash is of exactly these characters.
CREATE TABLE spool.plan (
  recording_id    text NOT NULL REFERENCES spool.recording ON DELETE CASCADE,
  version         integer NOT NULL,
  layout_version  integer NOT NULL,
  body            text NOT NULL,
  sha256          bytea NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (recording_id, version),
  CONSTRAINT plan_version_positive CHECK (version >= 1 AND layout_version >= 1),
  CONSTRAINT plan_sha256_length CHECK (octet_length(sha256) = 32)
);

-- Append-only: what a playlist once listed it lists unchanged.
CREATE TABLE spool.listing (
  recording_id       text NOT NULL REFERENCES spool.recording ON DELETE CASCADE,
  track              text NOT NULL,
  seq                bigint NOT NULL,
  index              integer NOT NULL,
  kind               text NOT NULL,
  duration           bigint NOT NULL,          -- in timescale units
  timescale          bigint NOT NULL,
  discontinuity      boolean NOT NULL DEFAULT false,
  program_date_time  timestamptz,
  listed_at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (recording_id, track, seq),
  -- A gap stays one even if its segment comes later, so no index is listed twice.
  CONSTRAINT listing_index_once UNIQUE (recording_id, track, index),
  CONSTRAINT listing_track_known CHECK (track IN ('video', 'audio')),
  CONSTRAINT listing_kind_known CHECK (kind IN ('media', 'gap')),
  CONSTRAINT listing_index_positive CHECK (index >= 1),
  CONSTRAINT listing_timescale_positive CHECK (timescale > 0 AND duration >= 0)
);
