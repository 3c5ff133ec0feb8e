-- What the console asks for: a wish about a recording, and recordings by the beginning of their id.

-- Enqueues a control job, whose worker decides whether the recording may do so: no function here knows what may follow
-- what. `id` is made by the caller and becomes the job's: the same wish sent twice is one job with one entry in the audit.
-- Answers as the verbs on jobs do; 'unavailable': no worker of this version carries it out.
CREATE FUNCTION queue.op_recording(id uuid, recording_id text, verb text, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  owner text;
  fresh boolean;
BEGIN
  IF op_recording.verb IS NULL OR op_recording.verb NOT IN ('recheck', 'remux', 'reopen', 'accept_gaps', 'cancel') THEN
    RAISE EXCEPTION 'unknown verb "%" on a recording', op_recording.verb USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF NOT EXISTS (SELECT FROM queue.kind k WHERE k.kind = 'control') THEN
    RETURN 'unavailable';
  END IF;
  SELECT r.owner_id INTO owner FROM spool.recording r WHERE r.id = op_recording.recording_id;
  IF NOT FOUND THEN
    RETURN 'not-found';
  END IF;
  SELECT e.inserted INTO fresh
    FROM queue.enqueue(op_recording.id, NULL, 'control',
                       jsonb_build_object('recording', op_recording.recording_id, 'verb', op_recording.verb),
                       op_recording.recording_id, owner, NULL, NULL) e;
  IF fresh THEN
    PERFORM queue.log_op(op_recording.verb,
                         jsonb_build_object('recording', op_recording.recording_id, 'job', op_recording.id), 1, NULL,
                         op_recording.actor, op_recording.via, op_recording.reason);
  END IF;
  RETURN 'ok';
END
$$;

-- The key sorts by the database's language, in which a beginning of an id is no range; this one sorts by bytes.
CREATE INDEX recording_id_bytes ON spool.recording (id text_pattern_ops);

-- Gaps are few: who asks for them need not read hours of listing.
CREATE INDEX listing_gap ON spool.listing (recording_id, track, index) WHERE kind = 'gap';
