-- cursor: retainable
-- Whether a newer floor would let retention delete rows that the present one holds back (S19).
select exists (
  select
  from (
    select 1
    from {schema}.outbox o
    where o.xid >= pg_snapshot_xmin($1::pg_snapshot) and o.xid < pg_snapshot_xmin(pg_current_snapshot())
    order by o.xid
    limit 1
  ) a
)
