-- outbox 0004: what operators call. The owner's rights, because they change what no other role may.

-- A relay name that is gone for good pins retention and the outbox's age: forget removes it. Its letters must be gone,
-- or they would wait for ever; what it has not sent stays in the outbox for the others.
create function {schema}.forget(relay text, reason text default null) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
  gone constant text := relay;
  windows bigint;
  open_letters bigint;
  live boolean;
begin
  select c.lease_until > clock_timestamp() into live from {schema}.relay_cursor c where c.relay = gone for update;
  if not found then
    raise exception 'there is no relay %', gone using errcode = 'no_data_found';
  elsif live then
    raise exception 'relay % is running', gone
      using errcode = 'object_in_use', hint = 'stop it, or wait until its lease has ended';
  end if;
  select count(*) into open_letters from {schema}.letter l where l.side = 'relay' and l.owner = gone and l.closed is null;
  if open_letters > 0 then
    raise exception 'relay % has % open letters', gone, open_letters
      using errcode = 'object_in_use', hint = 'release or discard them first';
  end if;
  delete from {schema}.relay_window w where w.relay = gone;
  get diagnostics windows = row_count;
  delete from {schema}.relay_destination d where d.relay = gone;
  delete from {schema}.acceptance a where a.relay = gone;
  delete from {schema}.relay_cursor c where c.relay = gone;
  insert into {schema}.audit (verb, object, count, reason) values ('forget', gone, windows, reason);
  return windows;
end
$function$;
revoke execute on function {schema}.forget(text, text) from public;

comment on function {schema}.forget(text, text) is 'twinbox: removes a relay that will not come back; retention waits for it no longer';

-- The whole number of a transaction of before: a system column has the lower half of it, which lies behind the present one.
create function {schema}.full_xid(own xid) returns numeric
language sql stable
set search_path = pg_catalog, pg_temp
as $function$
  select p.now - mod(p.now, 4294967296) + p.own - case when p.own > mod(p.now, 4294967296) then 4294967296 else 0 end
  from (select pg_snapshot_xmax(pg_current_snapshot())::text::numeric as now, own::text::numeric as own) p
$function$;
revoke execute on function {schema}.full_xid(xid) from public;

comment on function {schema}.full_xid(xid) is 'twinbox: a system column''s transaction id with its upper half';

-- A window is written by a transaction that is younger than its snapshot. One that a restore wrote is not, unless this
-- cluster is ahead of the old one; then everything written here since is younger than the window, and nothing is missed.
create function {schema}.windows_are_foreign() returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select exists (
    select
    from {schema}.relay_window w
    where {schema}.full_xid(w.xmin) < pg_snapshot_xmax(w.upper)::text::numeric
  )
$function$;
revoke execute on function {schema}.windows_are_foreign() from public;

comment on function {schema}.windows_are_foreign() is 'twinbox: whether windows were written by a restore: their snapshots say nothing about rows written here since';

-- After a restore into another cluster the rows carry transaction ids of the old one: those above the present ones match
-- every window, for ever. Rows that all relays had settled by then get an id that every snapshot calls finished; all
-- others get this transaction's, and are the next window of every relay. What was in an open window goes out again.
--
-- Producers must be off, and no relay running. Rows written here since the restore have been seen by no relay: their
-- system column xmin is their xid, or, below a savepoint, their xid is one that was given here since the windows were
-- restored. A restored row whose old id looks like one of those goes out again.
create function {schema}.rebase(reason text default null) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
  fresh pg_snapshot;
  since numeric;
  waiting bigint;
begin
  if pg_current_xact_id_if_assigned() is not null then
    raise exception 'rebase must be the first statement of its transaction';
  end if;
  lock table {schema}.outbox in share row exclusive mode;
  if exists (select from {schema}.relay_cursor c where c.lease_until > clock_timestamp()) then
    raise exception 'a relay is running' using errcode = 'object_in_use', hint = 'stop it, or wait until its lease has ended';
  end if;
  -- Before this transaction has an id: the one that it will get is then not visible in it.
  fresh := pg_current_snapshot();
  if not exists (select from {schema}.outbox o where o.xid >= pg_snapshot_xmax(fresh)) and not {schema}.windows_are_foreign() then
    raise exception 'no row carries a transaction id of another cluster' using hint = 'there is nothing to rebase';
  end if;
  select min({schema}.full_xid(w.xmin)) into since from {schema}.relay_window w;
  update {schema}.outbox o
  set xid = case
    when exists (select from {schema}.relay_cursor)
      and (o.xid::text::numeric % 4294967296)::text <> o.xmin::text
      and (o.xid::text::numeric < since or o.xid >= pg_snapshot_xmax(fresh))
      and not exists (
        select
        from {schema}.relay_cursor c
        left join lateral (
          select w.upper from {schema}.relay_window w where w.relay = c.relay order by w.number limit 1
        ) f on true
        where not pg_visible_in_snapshot(o.xid, coalesce(f.upper, '1:1:'::pg_snapshot))
      )
    then '3'::xid8
    else pg_current_xact_id()
  end;
  select count(*) into waiting from {schema}.outbox o where o.xid <> '3';
  -- The newest number stays, so that positions go on growing; the floor is the fresh snapshot.
  delete from {schema}.relay_window w
  where w.number < (select max(n.number) from {schema}.relay_window n where n.relay = w.relay);
  update {schema}.relay_window w set upper = fresh, rest = '{}', opened_at = clock_timestamp();
  update {schema}.relay_cursor c set deleted_up_to = null, mark = null, checkpoint = null;
  delete from {schema}.relay_horizon;
  insert into {schema}.audit (verb, object, count, reason) values ('rebase', 'outbox', waiting, reason);
  return waiting;
end
$function$;
revoke execute on function {schema}.rebase(text) from public;

comment on function {schema}.rebase(text) is 'twinbox: gives restored rows transaction ids of this cluster; part of accept NAME system_changed';

-- All relays of this outbox are bound to this database: their old holders are fenced out, their positions are those of
-- another history. One whose windows are gone begins with everything that is there.
create function {schema}.rebind(reason text default null) returns text[]
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
  here constant int := ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int;
  bound text[];
begin
  if exists (select from {schema}.relay_cursor c where c.lease_until > clock_timestamp()) then
    raise exception 'a relay is running' using errcode = 'object_in_use', hint = 'stop it, or wait until its lease has ended';
  end if;
  insert into {schema}.relay_window (relay, number, upper, rest)
  select c.relay, 0, '1:1:', '{}'
  from {schema}.relay_cursor c
  where c.system_id is not null and not exists (select from {schema}.relay_window w where w.relay = c.relay)
  order by c.relay;
  with done as (
    update {schema}.relay_cursor c
    set system_id = (select s.system_identifier from pg_control_system() s), database = current_database(), timeline = here,
      position_epoch = greatest(c.position_epoch + 1, here::bigint << 32), holder = null, epoch = c.epoch + 1
    where c.system_id is not null
    returning c.relay
  )
  select coalesce(array_agg(d.relay order by d.relay), '{}') into bound from done d;
  insert into {schema}.audit (verb, object, count, reason) values ('rebind', current_database(), cardinality(bound), reason);
  return bound;
end
$function$;
revoke execute on function {schema}.rebind(text) from public;

comment on function {schema}.rebind(text) is 'twinbox: binds all relays to this database; part of accept NAME system_changed';
