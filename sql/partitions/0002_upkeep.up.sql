-- partitions 0002: how relays make and drop partitions. The owner's rights, because only an owner may; they take no
-- argument, so that there is nothing to get wrong or to abuse. One process at a time does anything of it (an advisory
-- lock: the outbox's oid, and 0, which no relay_cursor.wake is); whoever comes meanwhile finds nothing to do.
--
-- plain: ours to detach and to empty. One in another schema, or in pieces of its own, is whoever's who made it; its bounds
-- count all the same.
create view {schema}.outbox_partition as
select
  c.relname as partition,
  i.inhrelid is not null as attached,
  c.relkind = 'r' and c.relnamespace = (select o.relnamespace from pg_class o where o.oid = '{schema}.outbox'::regclass) as plain,
  -- Not what bounds other tables' partitions, whatever the plan.
  case when i.inhrelid is not null then b.bounds[1]::timestamptz end as lower,
  case when i.inhrelid is not null then b.bounds[2]::timestamptz end as upper
from pg_class c
left join pg_inherits i on i.inhrelid = c.oid and i.inhparent = '{schema}.outbox'::regclass
cross join lateral (
  select regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \(''(.+)''\) TO \(''(.+)''\)$') as bounds
) b
where i.inhrelid is not null
   or c.relkind = 'r' and c.relname ~ '^outbox_[0-9]{8}t[0-9]{6}(_[0-9]+)?_settled$'
     and c.relnamespace = (select o.relnamespace from pg_class o where o.oid = '{schema}.outbox'::regclass);

comment on view {schema}.outbox_partition is 'twinbox: partitions of the outbox and their bounds; no bounds = the default one, or settled, detached and about to be dropped';

-- Makes the next partition ahead of its time; false when none is made now, as enough are there. An eighth of the longest
-- retention each, and four ahead; wider ones when old ones pile up behind a relay that does not get on, because every query
-- looks into all. Never wider than the retention or a day: what is in it stays as long as it is open, and longer.
--
-- ATTACH lets writers write (CREATE … PARTITION OF would not), but a statement that began before it does not know the new
-- partition, and fails when it has rows for it. So it begins in the future, and what is between is the default partition's:
-- only one statement that runs for longer than this lead, and only after a time without upkeep, can meet it.
--
-- ATTACH also locks and reads the default partition. Where writers write there (no partition is there for now), they wait
-- as long, so it must be small; where they do not, only reading relays wait, no longer than they wait for any lock (5 s) if
-- it has to come from a slow disk. Until it is small enough none is made: its rows are deleted, and it becomes small if no
-- more come. Otherwise `twinbox doctor` says what to do.
create function {schema}.make_partition() returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
set datestyle = 'ISO'
as $function$
declare
  present constant timestamptz := clock_timestamp();
  oldest timestamptz;
  newest timestamptz;
  retention float8;
  width interval;
  soonest timestamptz;
  name text;
  again int := 1;
begin
  if not pg_try_advisory_xact_lock('{schema}.outbox'::regclass::oid::int, 0) then
    return false;
  end if;
  -- Writers go on.
  lock table only {schema}.outbox in share update exclusive mode;
  select min(p.lower), max(p.upper) into oldest, newest from {schema}.outbox_partition p where p.attached;
  select extract(epoch from coalesce(max(c.retention), '1 day')) into retention from {schema}.relay_cursor c;
  width := make_interval(secs => greatest(1, floor(least(
    greatest(retention / 8, extract(epoch from present - oldest) / 32),
    greatest(retention, 86400)
  ))));
  if newest >= present + 4 * width
    or pg_relation_size('{schema}.outbox_default') > pg_size_bytes(case
      when exists (select from {schema}.outbox_partition p where p.attached and p.lower <= present and p.upper > present)
        then '256 MB'
      else '32 MB'
    end)
  then
    return false;
  end if;
  soonest := date_trunc('second', present) + greatest('2 seconds', least(width, '5 minutes'));
  newest := greatest(newest, soonest);
  -- A partition that somebody detached keeps its name.
  loop
    name := to_char(newest at time zone 'UTC', '"outbox_"YYYYMMDD"t"HH24MISS') || case when again > 1 then '_' || again else '' end;
    exit when not exists (
      select from pg_class c
      where c.relname = name
        and c.relnamespace = (select o.relnamespace from pg_class o where o.oid = '{schema}.outbox'::regclass)
    );
    again := again + 1;
  end loop;
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
  execute format('select o.xid from {schema}.%I o order by o.xid desc limit 1', partition) into newest;
  return bound is not null and coalesce(newest < bound, true);
end
$function$;
revoke execute on function {schema}.partition_is_settled(text) from public;

comment on function {schema}.partition_is_settled(text) is 'twinbox: whether every row of a partition of the outbox is settled for every relay and old enough';

-- The oldest partition whose time has passed and of which nothing is needed any more; one with rows, if asked. Or null.
create function {schema}.past_partition(filled boolean) returns text
language sql volatile
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO'
as $function$
  select p.partition::text
  from {schema}.outbox_partition p
  where case
      when p.attached and p.plain and p.upper <= clock_timestamp()
        then (not filled or pg_relation_size(format('{schema}.%I', p.partition)::regclass) > 0)
          and {schema}.partition_is_settled(p.partition)
    end
  order by p.upper
  limit 1
$function$;
revoke execute on function {schema}.past_partition(boolean) from public;

comment on function {schema}.past_partition(boolean) is 'twinbox: the oldest partition of the outbox that is past and settled; or null';

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
set datestyle = 'ISO'
as $function$
declare
  name text;
  settled text;
begin
  if not pg_try_advisory_xact_lock('{schema}.outbox'::regclass::oid::int, 0) then
    return null;
  end if;
  name := {schema}.past_partition(false);
  if name is null then
    return null;
  end if;
  lock table only {schema}.outbox in access exclusive mode;
  execute format('lock table only {schema}.%I, only {schema}.outbox_default in access exclusive mode nowait', name);
  if not {schema}.partition_is_settled(name) then
    return null;
  end if;
  execute format('alter table {schema}.outbox detach partition {schema}.%I', name);
  -- One that a person made may have any name; drop_partition goes by ours.
  settled := case
    when name ~ '^outbox_[0-9]{8}t[0-9]{6}(_[0-9]+)?$' then name
    else to_char(clock_timestamp() at time zone 'UTC', '"outbox_"YYYYMMDD"t"HH24MISS"_"') || format('{schema}.%I', name)::regclass::oid
  end || '_settled';
  execute format('alter table {schema}.%I rename to %I', name, settled);
  return settled;
end
$function$;
revoke execute on function {schema}.detach_partition() from public;

comment on function {schema}.detach_partition() is 'twinbox: detaches one partition of the outbox of which nothing is needed any more; its new name, or null';

-- Empties one partition that detach_partition would take, while transactions that are always open keep it from the lock
-- for that: no disk is held by what nobody needs. The empty piece stays until it can be detached. Its name, or null.
--
-- Invariant: as for detach_partition, with the partition's own lock. Whoever has written there holds a lock on it until
-- its end, so nobody who did is open, what was written is visible to the next statement, and all of it is settled; who
-- comes later finds an empty partition, and its row stays. No writer of the present waits: it writes into another one.
create function {schema}.empty_partition() returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
set datestyle = 'ISO'
as $function$
declare
  name text;
begin
  if not pg_try_advisory_xact_lock('{schema}.outbox'::regclass::oid::int, 0) then
    return null;
  end if;
  name := {schema}.past_partition(true);
  if name is null then
    return null;
  end if;
  execute format('lock table only {schema}.%I in access exclusive mode', name);
  if not {schema}.partition_is_settled(name) then
    return null;
  end if;
  execute format('truncate only {schema}.%I', name);
  return name;
end
$function$;
revoke execute on function {schema}.empty_partition() from public;

comment on function {schema}.empty_partition() is 'twinbox: empties one partition of the outbox of which nothing is needed any more; its name, or null';

-- Drops one partition that detach_partition has detached; its name, or null. One that cannot be dropped (somebody's view
-- looks at it, somebody reads it) keeps no other from going; when nothing goes, the reason is raised.
create function {schema}.drop_partition() returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
set datestyle = 'ISO'
as $function$
declare
  name text;
  code text;
  reason text;
begin
  if not pg_try_advisory_xact_lock('{schema}.outbox'::regclass::oid::int, 0) then
    return null;
  end if;
  for name in select p.partition from {schema}.outbox_partition p where not p.attached order by p.partition loop
    begin
      execute format('drop table {schema}.%I', name);
      return name;
    exception
      when lock_not_available or dependent_objects_still_exist then
        code := coalesce(code, sqlstate);
        reason := coalesce(reason, sqlerrm);
    end;
  end loop;
  if code is not null then
    raise exception '%', reason using errcode = code;
  end if;
  return null;
end
$function$;
revoke execute on function {schema}.drop_partition() from public;

comment on function {schema}.drop_partition() is 'twinbox: drops one settled, detached partition of the outbox; its name, or null';

-- The first ones, before anybody writes: without a relay the default partition would take all, and soon be too large.
do $do$
begin
  while {schema}.make_partition() loop
  end loop;
end
$do$;
