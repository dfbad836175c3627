-- cursor: rest
-- What an earlier holder left of a window.
select
  o.seq, o.id, o.aggregatetype, o.aggregateid, o.type,
  case when z.size <= $2::bigint then o.payload end as payload,
  o.headers, o.traceparent, o.created_at,
  z.size
from {schema}.outbox o
cross join lateral (
  select case
    when pg_column_compression(o.payload) is null then pg_column_size(o.payload)::bigint * 4
    else octet_length(o.payload::text)
  end as size
  offset 0
) z
where o.seq = any ($1::bigint[])
order by o.seq
