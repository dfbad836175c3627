-- cursor: stretch
-- Where a stretch of a large window ends, by the index on (xid, seq) alone; no row = at its end.
select o.xid, o.seq
from {schema}.outbox o
where (o.xid, o.seq) > ($1::xid8, $2::bigint) and o.xid < pg_snapshot_xmax($3::pg_snapshot)
order by o.xid, o.seq
offset $4::bigint
limit 1
