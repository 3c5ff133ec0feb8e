-- Takes back what the console asks for.
DROP INDEX spool.listing_gap;
DROP INDEX spool.recording_id_bytes;
DROP FUNCTION queue.op_recording(uuid, text, text, text, text, text);
