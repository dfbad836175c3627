-- letters: count
-- By what people see: a lane's cause for its head, queued for those behind it. Both sides are read from their indexes.
with lanes as (
  select l.cause, count(*) as count
  from {schema}.lane l
  where l.side = $1::text and l.owner = $2::text and ($3::text = '' or starts_with(l.lane, $3::text))
  group by l.cause
),
letters as (
  select t.closed, count(*) as count
  from {schema}.letter t
  where t.side = $1::text and t.owner = $2::text and t.closed is distinct from 'delivered'
    and ($3::text = '' or starts_with(t.lane, $3::text))
  group by t.closed
),
heads as (
  select
    coalesce(sum(count), 0)::bigint as lanes,
    coalesce(sum(count) filter (where cause in ('rejected', 'paused')), 0)::bigint as parked,
    coalesce(sum(count) filter (where cause = 'destination'), 0)::bigint as deferred,
    coalesce(sum(count) filter (where cause = 'resting'), 0)::bigint as scheduled
  from lanes
)
select
  heads.lanes,
  heads.parked,
  greatest(coalesce((select count from letters where closed is null), 0) - heads.lanes, 0)::bigint as queued,
  heads.deferred,
  heads.scheduled,
  coalesce((select count from letters where closed = 'dead'), 0)::bigint as dead
from heads
