-- outbox 0003: what applications call.
--
-- Runs with the caller's rights (INSERT on seven columns suffices; nothing is read back, so no SELECT is needed). Call it
-- in the transaction of the cause, after the aggregate's row is locked: the order of the calls is the order of the key.
create function {schema}.enqueue(
  aggregatetype text,
  aggregateid   text,
  type          text,
  payload       {schema}.outbox.payload%type,
  headers       jsonb default null,
  traceparent   text default null,
  id            uuid default gen_random_uuid()
) returns uuid
language plpgsql volatile security invoker
as $function$
begin
  id := coalesce(id, pg_catalog.gen_random_uuid());
  insert into {schema}.outbox (id, aggregatetype, aggregateid, type, payload, headers, traceparent)
  values (id, aggregatetype, aggregateid, type, payload, headers, traceparent);
  return id;
end
$function$;

comment on function {schema}.enqueue is 'twinbox: writes one event in the caller''s transaction and returns its id; call it after the aggregate is locked';

-- The first unsettled row of every relay, one index probe each. Settled rows of a window that is still partly open count
-- until the relay has written what is left of it, so the answer may be a second too high, never too low.
create function {schema}.outbox_age() returns interval
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  with relays as (
    select c.relay, n.number, n.rest,
           coalesce(b.upper, '1:1:'::pg_snapshot) as settled
    from (select relay from {schema}.relay_cursor union all select null where not exists (select from {schema}.relay_cursor)) c
    -- the lowest window above the floor with something left
    left join lateral (
      select w.number, w.rest
      from {schema}.relay_window w
      where w.relay = c.relay
        and w.rest is distinct from '{}'
        and w.number > (select min(f.number) from {schema}.relay_window f where f.relay = c.relay)
      order by w.number
      limit 1
    ) n on true
    -- everything visible below it is settled
    left join lateral (
      select w.upper
      from {schema}.relay_window w
      where w.relay = c.relay and (n.number is null or w.number < n.number)
      order by w.number desc
      limit 1
    ) b on true
  )
  select coalesce(greatest(max(clock_timestamp() - oldest.created_at), interval '0'), interval '0')
  from relays r
  cross join lateral (
    (select o.created_at from {schema}.outbox o where r.rest[1] > 0 and o.seq = r.rest[1])
    union all
    (select o.created_at
     from {schema}.outbox o
     where (r.rest is null or r.rest[1] < 0) and o.xid >= pg_snapshot_xmax(r.settled)
     order by o.xid, o.seq
     limit 1)
    union all
    (select o.created_at
     from {schema}.outbox o
     where (r.rest is null or r.rest[1] < 0) and o.xid = any (array(select x from pg_snapshot_xip(r.settled) x))
     order by o.xid, o.seq
     limit 1)
  ) oldest
$function$;

comment on function {schema}.outbox_age is 'twinbox: age of the oldest event that some relay has not settled; zero when none waits. Applications shed load by it';
