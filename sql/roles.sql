-- Roles and what each may do. Applied by `migrate --roles`, as often as you like; run by the owner of the schema, who
-- needs CREATEROLE for the first half.
--
--   twinbox_app        applications: grant it to the application's role. It may insert events, ask `once`, and nothing else.
--   twinbox_relay      what `twinbox relay` connects as
--   twinbox_relay_wal  the same with REPLICATION, which reads every table whatever is granted: a login of its own
--   twinbox_consumer   what `twinbox consume` connects as
--   twinbox_operator   people: letters, accept, forget
--
-- The processes' roles may log in but have no password: `alter role twinbox_relay password '…'`. A login of another name
-- that is a member of twinbox_relay has its rights, but not its settings: they belong to the login role.
do $roles$
declare
  wanted record;
begin
  for wanted in
    select * from (values
      ('twinbox_app', 'nologin'),
      ('twinbox_relay', 'login'),
      ('twinbox_relay_wal', 'login replication'),
      ('twinbox_consumer', 'login'),
      ('twinbox_operator', 'nologin')
    ) as r (name, attributes)
    where not exists (select from pg_roles p where p.rolname = r.name)
  loop
    begin
      execute format('create role %I %s', wanted.name, wanted.attributes);
    exception
      -- Somebody else has just made it.
      when duplicate_object or unique_violation then null;
      when insufficient_privilege then
        if wanted.name <> 'twinbox_relay_wal' then
          raise;
        end if;
        -- Only `from.wal` needs it, and managed servers hand REPLICATION out in their own ways.
        execute 'create role twinbox_relay_wal login';
        raise notice 'twinbox_relay_wal lacks REPLICATION: have a superuser grant it before you use from.wal';
    end;
  end loop;
end
$roles$;

comment on role twinbox_app is 'twinbox: writes events';
comment on role twinbox_relay is 'twinbox: the relay';
comment on role twinbox_relay_wal is 'twinbox: the relay on a replication slot';
comment on role twinbox_consumer is 'twinbox: the consumer';
comment on role twinbox_operator is 'twinbox: people who operate it';

-- Settings that reach the server even through a pooler that drops those of the connection.
do $settings$
declare
  role_name text;
  setting text;
begin
  foreach role_name in array array['twinbox_relay', 'twinbox_relay_wal', 'twinbox_consumer'] loop
    foreach setting in array array[
      'row_security = off', 'jit = off', 'timezone = utc', 'synchronous_commit = on',
      'default_transaction_isolation = ''read committed''', 'default_transaction_read_only = off',
      'statement_timeout = ''30s''', 'idle_in_transaction_session_timeout = ''30s''', 'idle_session_timeout = ''60s'''
    ] loop
      execute format('alter role %I set %s', role_name, setting);
    end loop;
  end loop;
  foreach role_name in array array['twinbox_relay', 'twinbox_relay_wal'] loop
    foreach setting in array array['search_path = pg_catalog', 'enable_seqscan = off', 'lock_timeout = ''5s'''] loop
      execute format('alter role %I set %s', role_name, setting);
    end loop;
  end loop;
  execute 'alter role twinbox_consumer set lock_timeout = ''10s''';
end
$settings$;

grant usage on schema {schema} to twinbox_app, twinbox_relay, twinbox_relay_wal, twinbox_consumer, twinbox_operator;

-- The outbox's side, where it is.
do $outbox$
begin
  if to_regclass('{schema}.outbox') is null then
    return;
  end if;
  -- Writers. Column by column: a supplied xid or seq loses rows, or repeats them for ever. No DELETE: rows that are deleted
  -- in the transaction that inserts them (some Debezium extensions do) would never be seen; so they fail loudly.
  grant insert (id, aggregatetype, aggregateid, type, payload, headers, traceparent) on {schema}.outbox to twinbox_app;
  grant execute on function {schema}.enqueue to twinbox_app;
  grant execute on function {schema}.outbox_age to twinbox_app;

  -- Relays. DELETE on the outbox is retention's. `select … for share` wants UPDATE on relay_cursor.
  grant select, delete on {schema}.outbox to twinbox_relay;
  grant select, insert, update, delete
    on {schema}.relay_cursor, {schema}.relay_window, {schema}.relay_destination, {schema}.relay_horizon,
       {schema}.lane, {schema}.letter
    to twinbox_relay;
  grant select, update (used_at) on {schema}.acceptance to twinbox_relay;
  grant select on {schema}.migration to twinbox_relay;
  grant insert on {schema}.audit to twinbox_relay;
  grant select, insert, delete on {schema}.pause to twinbox_relay;
  grant execute on function {schema}.outbox_age, {schema}.retention_bound to twinbox_relay;
  -- An outbox of partitions. No right on any partition but the default one, whose rows are deleted.
  if to_regclass('{schema}.outbox_default') is not null then
    grant select, delete on {schema}.outbox_default to twinbox_relay;
    grant select on {schema}.outbox_partition to twinbox_relay;
    grant execute on function
        {schema}.make_partition, {schema}.detach_partition, {schema}.empty_partition, {schema}.drop_partition
      to twinbox_relay;
  end if;

  -- People.
  grant update (rest) on {schema}.relay_window to twinbox_operator;
  grant insert on {schema}.acceptance to twinbox_operator;
  grant execute on function
      {schema}.outbox_age, {schema}.forget, {schema}.rebase, {schema}.rebind, {schema}.windows_are_foreign
    to twinbox_operator;
end
$outbox$;
grant twinbox_relay to twinbox_relay_wal;

-- The inbox's side, where it is.
do $inbox$
begin
  if to_regclass('{schema}.inbox') is null then
    return;
  end if;
  -- Applications that do an effect by themselves (`dedupe: verify`). No right on any table here.
  grant execute on function {schema}.once to twinbox_app;

  -- Consumers. What is remembered is added, never changed; generations are made and dropped with the owner's rights.
  -- Functions that are called for messages are granted one by one, by whoever owns them.
  grant select, insert on {schema}.inbox to twinbox_consumer;
  grant select on {schema}.inbox_generation, {schema}.migration to twinbox_consumer;
  grant select, insert, update on {schema}.consumer, {schema}.consumer_position to twinbox_consumer;
  grant select, insert, update, delete on {schema}.lane, {schema}.letter to twinbox_consumer;
  grant insert on {schema}.audit to twinbox_consumer;
  grant select, insert, delete on {schema}.pause to twinbox_consumer;
  grant execute on function {schema}.enter_generation, {schema}.rotate_inbox to twinbox_consumer;

  -- People. A letter that is given up is remembered as dropped; one that is opened again is forgotten. A stream that is
  -- moved gets another epoch.
  grant insert, delete on {schema}.inbox to twinbox_operator;
  grant update on {schema}.consumer_position to twinbox_operator;
  grant execute on function {schema}.enter_generation to twinbox_operator;
end
$inbox$;

-- People, on both sides.
grant select on all tables in schema {schema} to twinbox_operator;
grant update, delete on {schema}.lane to twinbox_operator;
grant update on {schema}.letter to twinbox_operator;
grant insert on {schema}.audit to twinbox_operator;
grant insert, delete on {schema}.pause to twinbox_operator;
