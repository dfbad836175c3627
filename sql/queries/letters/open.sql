-- letters: open
-- The first open letters of each lane, within $5 bytes per lane; the first always, without its body when that is larger
-- than $6.
select
  t.letter, t.seq, t.message_id, t.aggregatetype, t.key, t.type,
  case when t.bytes <= $6::bigint then t.payload end as payload,
  t.headers, t.traceparent, t.occurred_at, t.place, t.lane, t.bytes,
  t.replay_epoch, t.source_topic, t.source_partition, t.source_offset, t.origin
from unnest($3::text[]) p (lane)
cross join lateral (
  select
    f.*,
    octet_length(f.payload)::bigint as bytes,
    sum(coalesce(octet_length(f.payload), 0)::bigint) over (order by f.place) as running,
    row_number() over (order by f.place) as nth
  from (
    select *
    from {schema}.letter r
    where r.side = $1::text and r.owner = $2::text and r.lane = p.lane and r.closed is null
    order by r.place
    limit $4::bigint
  ) f
) t
where t.nth = 1 or t.running <= $5::bigint
order by t.lane, t.place
