-- letters: open
-- The first open letters of each lane, within $4 bytes per lane; the first always, without its body when that is larger
-- than $5.
select
  t.letter, t.seq, t.message_id, t.aggregatetype, t.key, t.type,
  case when t.bytes <= $5::bigint then t.payload end as payload,
  t.headers, t.traceparent, t.occurred_at, t.place, t.lane, t.bytes
from unnest($2::text[]) p (lane)
cross join lateral (
  select
    f.*,
    octet_length(f.payload)::bigint as bytes,
    sum(coalesce(octet_length(f.payload), 0)::bigint) over (order by f.place) as running,
    row_number() over (order by f.place) as nth
  from (
    select *
    from {schema}.letter r
    where r.side = 'relay' and r.owner = $1::text and r.lane = p.lane and r.closed is null
    order by r.place
    limit $3::bigint
  ) f
) t
where t.nth = 1 or t.running <= $4::bigint
order by t.lane, t.place
