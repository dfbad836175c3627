-- cursor: extent
-- The lowest seq of a stretch, by the index on (xid, seq) alone: `+ 0` keeps the planner from walking up the primary key.
-- And the highest seq of the table, beyond which the window cannot reach.
select
  (
    select min(o.seq + 0)
    from {schema}.outbox o
    where (o.xid, o.seq) > ($1::xid8, $2::bigint) and (o.xid, o.seq) <= ($3::xid8, $4::bigint)
  ) as lowest,
  (select max(o.seq) from {schema}.outbox o) as highest
