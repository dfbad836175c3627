-- cursor: rest
-- What an earlier holder left of a window.
select
  o.seq, o.id, o.aggregatetype, o.aggregateid, o.type,
  case when pg_column_size(o.payload) <= $2::int then o.payload end as payload,
  o.headers, o.traceparent, o.created_at,
  pg_column_size(o.payload) as stored
from {schema}.outbox o
where o.seq = any ($1::bigint[])
order by o.seq
