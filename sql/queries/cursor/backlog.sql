-- cursor: backlog
-- Rows that no window has yet, counted up to a limit, and the age of the oldest that is not settled.
select
  (
    select count(*)
    from (select 1 from {schema}.outbox o where o.xid >= pg_snapshot_xmax($1::pg_snapshot) order by o.xid limit $3::bigint) a
  ) as ahead,
  coalesce(
    extract(epoch from clock_timestamp() - least(
      (select o.created_at from {schema}.outbox o where o.seq = $2::bigint),
      (
        select o.created_at
        from {schema}.outbox o
        where o.xid >= pg_snapshot_xmax($1::pg_snapshot)
        order by o.xid, o.seq
        limit 1
      )
    ))::float8,
    0
  ) as age
