-- Who may do what. Not a migration: it is run after every `migrate`, so that roles made later get their rights, and the
-- objects of later migrations are covered too. Each statement may be repeated.
--
--   spool_owner    owns both schemas; what runs as SECURITY DEFINER runs as it
--   spool_run      the program: reads and writes rows, no DDL
--   spool_app      the web app: the completion call and enqueue
--   spool_view     the console: reads, and asks for storage checks
--   spool_operate  the armed console: reads, and calls the operator functions
--   spool_scaler   the autoscaler: reads how much waits

-- Roles belong to the whole cluster: another database may make them at the same moment, or an administrator earlier.
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['spool_owner', 'spool_run', 'spool_app', 'spool_view', 'spool_operate', 'spool_scaler'] LOOP
    CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = wanted);
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN
        NULL;
      WHEN insufficient_privilege THEN
        RAISE NOTICE 'CREATE ROLE % NOLOGIN;', wanted;
    END;
  END LOOP;
END
$$;

-- The owner. Only what has another owner is touched, because changing an owner locks the table against everybody.
DO $$
DECLARE
  thing record;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'spool_owner') THEN
    RETURN;
  END IF;
  FOR thing IN
    SELECT format('ALTER SCHEMA %I OWNER TO spool_owner', n.nspname) AS statement
      FROM pg_namespace n
     WHERE n.nspname IN ('queue', 'spool') AND pg_get_userbyid(n.nspowner) <> 'spool_owner'
    UNION ALL
    SELECT format('ALTER TABLE %I.%I OWNER TO spool_owner', n.nspname, c.relname)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname IN ('queue', 'spool') AND c.relkind IN ('r', 'p', 'v') AND pg_get_userbyid(c.relowner) <> 'spool_owner'
    UNION ALL
    SELECT format('ALTER SEQUENCE %I.%I OWNER TO spool_owner', n.nspname, c.relname)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname IN ('queue', 'spool') AND c.relkind = 'S' AND pg_get_userbyid(c.relowner) <> 'spool_owner'
       -- An identity column's sequence follows its table.
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
    UNION ALL
    SELECT format('ALTER FUNCTION %s OWNER TO spool_owner', p.oid::regprocedure)
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname IN ('queue', 'spool') AND pg_get_userbyid(p.proowner) <> 'spool_owner'
  LOOP
    EXECUTE thing.statement;
  END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'the objects keep their owner: % is no member of spool_owner', current_user;
END
$$;

-- PostgreSQL lets everybody execute a new function.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA queue, spool FROM PUBLIC;

DO $$
DECLARE
  entry record;
  may_write text := 'SELECT, INSERT, UPDATE, DELETE';
BEGIN
  FOR entry IN
    SELECT g.role, g.rights
      FROM (VALUES
        ('spool_run', 'USAGE ON SCHEMA queue, spool'),
        ('spool_run', may_write || ' ON ALL TABLES IN SCHEMA queue, spool'),
        ('spool_run', 'USAGE, SELECT ON ALL SEQUENCES IN SCHEMA queue, spool'),
        ('spool_run', 'EXECUTE ON ALL FUNCTIONS IN SCHEMA queue, spool'),
        ('spool_app', 'USAGE ON SCHEMA queue, spool'),
        ('spool_app', 'EXECUTE ON FUNCTION spool.recording_complete(text), spool.schema_version(), spool.schema_oldest()'),
        ('spool_app', 'EXECUTE ON FUNCTION queue.enqueue(uuid, text, text, jsonb, text, text, text, timestamptz, text)'),
        ('spool_scaler', 'USAGE ON SCHEMA queue, spool'),
        ('spool_scaler', 'SELECT (id, queue, kind, state, run_at) ON queue.job'),
        ('spool_scaler', 'SELECT (name, paused_at, paused_until, max_running) ON queue.queue'),
        ('spool_scaler', 'EXECUTE ON FUNCTION spool.schema_version(), spool.schema_oldest()'),
        ('spool_view', 'EXECUTE ON FUNCTION queue.op_probe(text, text, text, text)')
      ) AS g (role, rights)
    UNION ALL
    -- Both consoles read the same. Staging URIs and endpoints' URLs are for nobody's eyes.
    SELECT r.role, s.rights
      FROM (VALUES ('spool_view'), ('spool_operate')) AS r (role)
      CROSS JOIN (VALUES
        ('USAGE ON SCHEMA queue, spool'),
        ('SELECT ON ALL TABLES IN SCHEMA queue'),
        ('SELECT ON spool.bucket, spool.liveness, spool.plan, spool.listing, spool.picture, spool.event, spool.webhook_delivery'),
        ('SELECT (name, format, enabled, disabled_reason, created_at, updated_at) ON spool.webhook_endpoint'),
        ('EXECUTE ON FUNCTION spool.schema_version(), spool.schema_oldest(), queue.state_word(smallint), queue.outcome_word(smallint), queue.uuid_time(uuid)')
      ) AS s (rights)
    UNION ALL
    SELECT r.role, format('SELECT (%s) ON spool.%I', string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), c.relname)
      FROM (VALUES ('spool_view'), ('spool_operate')) AS r (role)
      CROSS JOIN pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.oid IN ('spool.recording'::regclass, 'spool.segment'::regclass)
       AND a.attname NOT IN ('staging_uri', 'whole_file', 'body')
     GROUP BY r.role, c.relname
    UNION ALL
    SELECT 'spool_operate', format('EXECUTE ON FUNCTION %s', p.oid::regprocedure)
      FROM pg_proc p
     WHERE p.pronamespace IN ('queue'::regnamespace, 'spool'::regnamespace) AND p.proname LIKE 'op\_%'
  LOOP
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = entry.role) THEN
      EXECUTE format('GRANT %s TO %I', entry.rights, entry.role);
    END IF;
  END LOOP;
END
$$;

-- The audit is added to and never changed, by the program neither: what a stolen password can do leaves its trace.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'spool_run') THEN
    REVOKE UPDATE, DELETE, TRUNCATE ON queue.op_log FROM spool_run;
  END IF;
END
$$;
