-- desk: list
-- Letters that are open or dead (or the one that is named, whatever became of it), oldest first. What people see
-- (parked, scheduled, deferred, queued) is derived: by the lane's cause for its head, queued for those behind it.
select
  t.letter, t.message_id, t.side, t.owner, t.lane, t.key,
  case
    when t.closed is not null then t.closed
    when t.place > first.place then 'queued'
    when l.cause = 'resting' then 'scheduled'
    when l.cause = 'destination' then 'deferred'
    else 'parked'
  end as state,
  t.attempts, t.first_failed_at, t.last_failed_at,
  t.error_kind, t.error_type, t.error_message, t.error_chain, t.fingerprint,
  t.source_topic, t.source_partition, t.source_offset,
  case when l.due = 'infinity' then null else l.due end as due
from {schema}.letter t
left join {schema}.lane l on l.side = t.side and l.owner = t.owner and l.lane = t.lane and t.closed is null
left join lateral (
  select min(o.place) as place
  from {schema}.letter o
  where o.side = t.side and o.owner = t.owner and o.lane = t.lane and o.closed is null
) first on t.closed is null
where (t.closed is null or t.closed = 'dead' or $2::bigint[] is not null)
  and ($1::text is null or t.owner = $1::text)
  and ($2::bigint[] is null or t.letter = any ($2::bigint[]))
  and ($3::bytea is null or t.key = $3::bytea)
  and ($4::text is null or t.fingerprint = $4::text)
  and t.letter > $5::bigint
order by t.letter
limit $6::bigint
