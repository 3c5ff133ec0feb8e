-- What the playlists of a recording say as a whole; the rows of a listing say the rest.
ALTER TABLE spool.recording
  ADD COLUMN renditions jsonb,               -- the tracks of the multivariant playlist; a track once named stays named
  ADD COLUMN listing_ended_at timestamptz;   -- from then on playlists have an end and nothing more is listed, not even after a reopen
