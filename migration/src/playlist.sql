-- What the playlists of a recording say as a whole; the rows of a listing say the rest.
ALTER TABLE spool.recording
  ADD COLUMN renditions jsonb,               -- the tracks of the multivariant playlist; a track once named stays named
  ADD COLUMN listing_ended_at timestamptz;   -- from then on playlists have an end and nothing more is listed, not even after a reopen

-- The wall clocks of a track, of which there are few: whoever appends asks for them each time.
CREATE INDEX listing_clock ON spool.listing (recording_id, track, seq) WHERE program_date_time IS NOT NULL;
