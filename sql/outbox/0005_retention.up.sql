-- outbox 0005: what may go.
--
-- bound: rows of transactions below it are settled for every relay and old enough for the slowest; null = nothing may go.
-- A relay without a floor holds everything back, and so does one that keeps its rows, and so does a time of which nothing
-- is noted yet. Deleting rows and dropping partitions go by this one bound. reached: where the last batch of any relay
-- ended.
create function {schema}.retention_bound(out bound xid8, out reached xid8)
language sql stable
set search_path = pg_catalog, pg_temp
as $function$
  with relays as (
    select
      bool_and(c.retention is not null and r.settled is not null) as known,
      (array_agg(r.settled order by r.settled))[1] as settled,
      max(c.retention) as retention,
      (array_agg(c.deleted_up_to order by c.deleted_up_to desc nulls last))[1] as deleted_up_to
    from {schema}.relay_cursor c
    left join lateral (
      select w.upper from {schema}.relay_window w where w.relay = c.relay order by w.number limit 1
    ) f on true
    cross join lateral (
      select pg_snapshot_xmin(case c.source when 'wal' then c.mark else f.upper end) as settled
    ) r
  ),
  horizon as (
    select h.horizon
    from {schema}.relay_horizon h, relays a
    where h.noted_at <= clock_timestamp() - a.retention
    order by h.noted_at desc
    limit 1
  )
  select case when a.known and h.horizon is not null then least(a.settled, h.horizon) end, a.deleted_up_to
  from relays a
  left join horizon h on true
$function$;
revoke execute on function {schema}.retention_bound() from public;

comment on function {schema}.retention_bound() is 'twinbox: transactions below bound are settled for every relay and older than the longest retention; null = nothing may go';
