-- Takes the description of playlists back.
ALTER TABLE spool.recording DROP COLUMN renditions, DROP COLUMN listing_ended_at;
