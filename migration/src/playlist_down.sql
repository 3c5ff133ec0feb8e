-- Takes the description of playlists back.
DROP INDEX spool.listing_clock;
ALTER TABLE spool.recording DROP COLUMN renditions, DROP COLUMN listing_ended_at;
