-- What has been: every attempt, and every job that has ended. One partition a day, dropped whole.

CREATE TABLE queue.attempt (
  job_id       uuid NOT NULL,
  attempt      integer NOT NULL,
  epoch        bigint NOT NULL,
  kind         text NOT NULL,
  worker_id    uuid,
  started_at   timestamptz,
  ended_at     timestamptz NOT NULL,
  outcome      smallint NOT NULL,   -- 0 completed 1 failed 2 snoozed 3 discarded 4 cancelled 5 lost 6 handed_back
  error_class  text,
  error_code   text,
  error_fp     bytea,
  error        text,
  detail       jsonb,
  cpu_ms       integer,
  rss_kb       integer,
  trace_id     text,
  CONSTRAINT attempt_outcome_known CHECK (outcome BETWEEN 0 AND 6),
  PRIMARY KEY (ended_at, job_id, attempt)
) PARTITION BY RANGE (ended_at);

CREATE INDEX attempt_job ON queue.attempt (job_id, attempt);
CREATE INDEX attempt_fp ON queue.attempt (error_fp, ended_at DESC) WHERE error_fp IS NOT NULL;
CREATE INDEX attempt_worker ON queue.attempt (worker_id, ended_at DESC);

-- LIKE copies NOT NULL but no default: every insert names its columns.
CREATE TABLE queue.job_archive (
  LIKE queue.job,
  finished_at  timestamptz NOT NULL,
  outcome      smallint NOT NULL,   -- 0 completed 1 discarded 2 cancelled 3 superseded
  reason       text,
  result       jsonb,
  CONSTRAINT archive_outcome_known CHECK (outcome BETWEEN 0 AND 3),
  PRIMARY KEY (finished_at, id)
) PARTITION BY RANGE (finished_at);

CREATE INDEX archive_id ON queue.job_archive (id);
CREATE INDEX archive_queue ON queue.job_archive (queue, finished_at DESC, id DESC);
CREATE INDEX archive_outcome ON queue.job_archive (outcome, finished_at DESC, id DESC);
CREATE INDEX archive_subject ON queue.job_archive (subject, finished_at DESC, id DESC) WHERE subject IS NOT NULL;
CREATE INDEX archive_discarded ON queue.job_archive (error_fp, finished_at DESC, id DESC) WHERE outcome = 1;

-- A missing partition would make completion fail, so there is always one that takes everything else.
-- Rows in it are an alarm: the days ahead have not been made in time.
CREATE TABLE queue.attempt_default PARTITION OF queue.attempt DEFAULT;
CREATE TABLE queue.job_archive_default PARTITION OF queue.job_archive DEFAULT;

-- Makes the partitions of today (UTC) and of the next `days_ahead` days; returns how many were new.
CREATE FUNCTION queue.ensure_partitions(days_ahead integer) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET lock_timeout = '2s'
  AS $$
DECLARE
  parent text;
  leaf text;
  first_day date := (now() AT TIME ZONE 'UTC')::date;
  day date;
  made integer := 0;
BEGIN
  -- Two callers would both find the day missing and the second CREATE would fail: they go one after the other.
  PERFORM pg_advisory_xact_lock(hashtext('queue.ensure_partitions'));
  FOREACH parent IN ARRAY ARRAY['attempt', 'job_archive'] LOOP
    FOR step IN 0 .. least(greatest(days_ahead, 0), 366) LOOP
      day := first_day + step;
      leaf := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
      CONTINUE WHEN to_regclass(format('queue.%I', leaf)) IS NOT NULL;
      BEGIN
        -- Made aside and then attached, because CREATE ... PARTITION OF would lock out every completing job.
        EXECUTE format('CREATE TABLE queue.%I (LIKE queue.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', leaf, parent);
        EXECUTE format('ALTER TABLE queue.%I ATTACH PARTITION queue.%I FOR VALUES FROM (%L) TO (%L)', parent, leaf,
          to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00');
        made := made + 1;
      EXCEPTION WHEN check_violation THEN
        -- Rows of that day already lie in the default partition; they stay there, and the day has no partition of its own.
        RAISE NOTICE 'partition % not made: its rows lie in the default partition', leaf;
      END;
    END LOOP;
  END LOOP;
  RETURN made;
END
$$;

-- Drops the partitions whose last moment is older than `keep`; returns how many.
CREATE FUNCTION queue.drop_partitions(keep interval) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  -- Short: a drop that waits behind a long read would make every completion wait behind it.
  SET lock_timeout = '200ms'
  AS $$
DECLARE
  leaf record;
  gone integer := 0;
BEGIN
  FOR leaf IN
    SELECT c.relname AS name
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent IN ('queue.attempt'::regclass, 'queue.job_archive'::regclass)
       AND c.relname ~ '_[0-9]{8}$'
       AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' < now() - greatest(keep, interval '0')
     ORDER BY c.relname
     LIMIT 100
  LOOP
    EXECUTE format('DROP TABLE queue.%I', leaf.name);
    gone := gone + 1;
  END LOOP;
  RETURN gone;
END
$$;
