-- cursor: identity
-- Where we are, and what the relay's row says about where it was. No row = fenced.
select
  c.system_id, c.database, c.timeline, c.position_epoch, c.route, c.wake,
  (select s.system_identifier from pg_control_system() s) as own_system_id,
  current_database()::text as own_database,
  substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as own_timeline,
  exists (
    select
    from pg_trigger t
    where t.tgrelid = '{schema}.outbox'::regclass and t.tgname = 'twinbox_wake' and t.tgenabled in ('O', 'A')
  ) as wakes,
  '{schema}.outbox'::regclass::oid::int as class,
  (select o.relkind = 'p' from pg_class o where o.oid = '{schema}.outbox'::regclass) as partitioned,
  exists (
    select from {schema}.letter l where l.side = 'relay' and l.owner = c.relay and l.closed is null
  ) as letters
from {schema}.relay_cursor c
where c.relay = $1::text and c.epoch = $2::bigint and c.holder = $3::text
