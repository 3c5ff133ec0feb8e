-- Poster and animated preview of a recording. Their keys are always the same, so what was made is told here: of which
-- plan version, and what tells the bytes from earlier ones.
CREATE TABLE spool.picture (
  recording_id  text NOT NULL REFERENCES spool.recording ON DELETE CASCADE,
  kind          text NOT NULL,
  version       integer NOT NULL,   -- of the plan whose result it shows
  size_bytes    bigint NOT NULL,
  sha256        bytea NOT NULL,
  width         integer NOT NULL,
  height        integer NOT NULL,
  made_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (recording_id, kind),
  CONSTRAINT picture_kind_known CHECK (kind IN ('poster', 'preview')),
  CONSTRAINT picture_version_positive CHECK (version >= 1),
  CONSTRAINT picture_sha256_length CHECK (octet_length(sha256) = 32)
);
