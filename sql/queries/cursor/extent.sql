-- cursor: extent
-- One stretch of a large window by the index on (xid, seq): how many rows, where its seqs begin and end, where to go on.
with stretch as materialized (
  select o.xid, o.seq
  from {schema}.outbox o
  where (o.xid, o.seq) > ($1::xid8, $2::bigint) and o.xid < pg_snapshot_xmax($3::pg_snapshot)
  order by o.xid, o.seq
  limit $4::bigint
)
select
  (select count(*) from stretch) as rows,
  (select min(s.seq) from stretch s) as lowest,
  (select max(s.seq) from stretch s where pg_visible_in_snapshot(s.xid, $3::pg_snapshot)) as highest,
  l.xid, l.seq
from (select s.xid, s.seq from stretch s order by s.xid desc, s.seq desc limit 1) l
