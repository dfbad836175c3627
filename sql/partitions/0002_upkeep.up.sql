-- partitions 0002: how relays make and drop partitions. The owner's rights, because only an owner may; they take no
-- argument, so that there is nothing to get wrong or to abuse. One process at a time does anything of it (an advisory
-- lock: the outbox's oid, and 0, which no relay_cursor.wake is); whoever comes meanwhile finds nothing to do.
create view {schema}.outbox_partition as
select
  c.relname as partition,
  i.inhrelid is not null as attached,
  b.bounds[1]::timestamptz as lower,
  b.bounds[2]::timestamptz as upper
from pg_class c
left join pg_inherits i on i.inhrelid = c.oid and i.inhparent = '{schema}.outbox'::regclass
cross join lateral (
  select regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \(''(.+)''\) TO \(''(.+)''\)$') as bounds
) b
where i.inhrelid is not null
   or c.relkind = 'r' and c.relname ~ '^outbox_[0-9]{8}t[0-9]{6}_settled$'
     and c.relnamespace = (select o.relnamespace from pg_class o where o.oid = '{schema}.outbox'::regclass);

comment on view {schema}.outbox_partition is 'twinbox: partitions of the outbox and their bounds; no bounds = the default one, or settled, detached and about to be dropped';

-- Makes the next partition ahead of its time; false when none is made now, as enough are there. An eighth of the longest retention each, and
-- four ahead; wider ones when old ones pile up behind a relay that does not get on, because every query looks into all.
--
-- ATTACH lets writers write (CREATE … PARTITION OF would not), but it locks and reads the default partition, and a
-- statement that began before it and has rows for the new partition afterwards fails. So it begins in the future, where no
-- rows are yet; and while the default partition is larger than can be read in a moment, none is made: its rows are
-- deleted, and it becomes small.
create function {schema}.make_partition() returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $function$
declare
  present constant timestamptz := clock_timestamp();
  oldest timestamptz;
  newest timestamptz;
  width interval;
  name text;
begin
  if not pg_try_advisory_xact_lock('{schema}.outbox'::regclass::oid::int, 0) then
    return false;
  end if;
  -- Writers go on.
  lock table only {schema}.outbox in share update exclusive mode;
  select min(p.lower), max(p.upper) into oldest, newest from {schema}.outbox_partition p where p.attached;
  select make_interval(secs => greatest(1, floor(greatest(
      extract(epoch from coalesce(max(c.retention), '1 day')) / 8,
      extract(epoch from present - oldest) / 32
    ))::float8)) into width
  from {schema}.relay_cursor c;
  if newest >= present + 4 * width or pg_relation_size('{schema}.outbox_default') > pg_size_bytes('32 MB') then
    return false;
  end if;
  if newest is null or newest <= present then
    newest := date_trunc('second', present) + greatest('2 seconds', least(width, '1 minute'));
  end if;
  name := to_char(newest at time zone 'UTC', '"outbox_"YYYYMMDD"t"HH24MISS');
  execute format(
    'create table {schema}.%I (like {schema}.outbox including storage including compression) with ('
      'autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000, '
      'autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off)',
    name
  );
  execute format('comment on table {schema}.%I is %L', name, 'twinbox: a partition of the outbox');
  execute format(
    'alter table {schema}.outbox attach partition {schema}.%I for values from (%L) to (%L)', name, newest, newest + width
  );
  return true;
end
$function$;
revoke execute on function {schema}.make_partition() from public;

comment on function {schema}.make_partition() is 'twinbox: makes the next partition of the outbox ahead of its time; false = none is made now';

-- Whether nothing of a partition is needed any more: no row of it is of a transaction that the bound does not cover.
create function {schema}.partition_is_settled(partition text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  bound xid8;
  newest xid8;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    -- The snapshot would be older than the lock of whoever asks.
    raise exception 'only under READ COMMITTED' using errcode = 'invalid_transaction_state';
  end if;
  select b.bound into bound from {schema}.retention_bound() b;
  execute format('select o.xid from only {schema}.%I o order by o.xid desc limit 1', partition) into newest;
  return bound is not null and coalesce(newest < bound, true);
end
$function$;
revoke execute on function {schema}.partition_is_settled(text) from public;

comment on function {schema}.partition_is_settled(text) is 'twinbox: whether every row of a partition of the outbox is settled for every relay and old enough';

-- Detaches one partition whose time has passed and of which nothing is needed any more; its new name, or null. The name
-- says that it may be dropped: one that somebody else detached is left alone.
--
-- Invariant: a row that a relay may not have published is never in a detached partition. A writer holds its lock on the
-- outbox until it ends, prepared ones across restarts. So with the lock below nobody is about to write, and what was
-- written is visible to the next statement, wherever its transaction began and whatever created_at it has. Then the bound
-- decides, as it does for deletion.
--
-- Writers wait for this lock, at most as long as lock_timeout; so everything else is taken without waiting.
create function {schema}.detach_partition() returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $function$
declare
  name text;
begin
  if not pg_try_advisory_xact_lock('{schema}.outbox'::regclass::oid::int, 0) then
    return null;
  end if;
  select p.partition into name
  from {schema}.outbox_partition p
  where p.attached and p.upper <= clock_timestamp() and {schema}.partition_is_settled(p.partition)
  order by p.upper
  limit 1;
  if name is null then
    return null;
  end if;
  lock table only {schema}.outbox in access exclusive mode;
  execute format('lock table only {schema}.%I, only {schema}.outbox_default in access exclusive mode nowait', name);
  if not {schema}.partition_is_settled(name) then
    return null;
  end if;
  execute format('alter table {schema}.outbox detach partition {schema}.%I', name);
  execute format('alter table {schema}.%I rename to %I', name, name || '_settled');
  return name || '_settled';
end
$function$;
revoke execute on function {schema}.detach_partition() from public;

comment on function {schema}.detach_partition() is 'twinbox: detaches one partition of the outbox of which nothing is needed any more; its new name, or null';

-- Drops one partition that detach_partition has detached; its name, or null.
create function {schema}.drop_partition() returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $function$
declare
  name text;
begin
  if not pg_try_advisory_xact_lock('{schema}.outbox'::regclass::oid::int, 0) then
    return null;
  end if;
  select p.partition into name from {schema}.outbox_partition p where not p.attached order by p.partition limit 1;
  if name is not null then
    execute format('drop table {schema}.%I', name);
  end if;
  return name;
end
$function$;
revoke execute on function {schema}.drop_partition() from public;

comment on function {schema}.drop_partition() is 'twinbox: drops one settled, detached partition of the outbox; its name, or null';
