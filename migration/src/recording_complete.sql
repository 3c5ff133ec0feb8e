-- The completion call, for callers of every language, inside their own transaction.

-- Answers queued | already-processing | already-complete | refused | not-found. Raises nothing of its own; PostgreSQL's
-- lock and serialization errors come through. It only UPDATEs, so segments are still accepted while the caller's
-- transaction stays open: accept's FOR KEY SHARE does not conflict with an update of these columns.
CREATE FUNCTION spool.recording_complete(recording_id text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  -- A further round needs another state change between two statements of this function.
  rounds_max CONSTANT integer := 10;
  seen record;
  answer text;
BEGIN
  FOR round IN 1 .. rounds_max LOOP
    SELECT r.state, r.provisional, r.source, r.owner_id, r.plan_version, r.whole_file IS NOT NULL AS has_file
      INTO seen FROM spool.recording r WHERE r.id = recording_complete.recording_id;
    IF NOT FOUND THEN
      RETURN 'not-found';
    END IF;

    CASE
      WHEN seen.state IN ('cancelled', 'deleted') THEN
        RETURN 'refused';

      WHEN seen.state = 'archived' OR (seen.state = 'ready' AND NOT seen.provisional) THEN
        RETURN 'already-complete';

      WHEN seen.state = 'finalizing' AND NOT seen.provisional THEN
        RETURN 'already-processing';

      WHEN seen.state IN ('finalizing', 'ready') THEN
        -- The end was silence and is now confirmed. Only the signal is recorded here: manifest_check alone makes the end
        -- final, under the recording's lock, because it has to look for segments that came after the plan was frozen.
        UPDATE spool.recording r SET signalled_at = coalesce(r.signalled_at, now())
         WHERE r.id = recording_complete.recording_id AND r.state = seen.state AND r.provisional;
        answer := 'already-processing';

      ELSE  -- live or failed
        IF seen.state = 'live' AND seen.source = 'spool' AND NOT seen.has_file
           AND NOT EXISTS (SELECT FROM spool.segment s WHERE s.recording_id = recording_complete.recording_id AND s.index >= 1) THEN
          RETURN 'refused';
        END IF;
        -- Ten callers at once: the first one's update wins, the others wait for its row, find the state changed, match no
        -- row, and look again in the next round.
        UPDATE spool.recording r
           SET state = 'finalizing', state_at = now(), signalled_at = CASE WHEN r.state = 'live' THEN now() ELSE coalesce(r.signalled_at, now()) END,
               ended_at = CASE WHEN r.state = 'live' THEN now() ELSE r.ended_at END,
               -- A failed end that was silence stays provisional until manifest_check has looked for later segments.
               provisional = r.provisional AND r.state = 'failed',
               error_code = NULL, error_message = NULL
         WHERE r.id = recording_complete.recording_id AND r.state = seen.state;
        answer := 'queued';
    END CASE;
    CONTINUE WHEN NOT FOUND;

    IF answer = 'queued' THEN
      PERFORM spool.append_event(
        recording_complete.recording_id, 'recording.finalizing',
        jsonb_build_object('from', seen.state, 'cause', 'complete', 'plan_version', seen.plan_version));
    END IF;
    -- Lock order: the recording's row is locked by the update above, the job's row comes after it.
    PERFORM queue.enqueue(
      queue.uuid_v7(), NULL, 'manifest_check', jsonb_build_object('recording', recording_complete.recording_id),
      recording_complete.recording_id, seen.owner_id, 'check:' || recording_complete.recording_id, NULL, 'hasten');
    RETURN answer;
  END LOOP;
  RAISE EXCEPTION 'recording % changed its state % times during one call', recording_complete.recording_id, rounds_max
    USING ERRCODE = 'serialization_failure';
END
$$;
