-- letters: pick
-- Claims due lanes, each for one caller. `now()`, because a volatile function is no index condition. Attempts are counted
-- before the call, where they speak of the message.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for share
),
due as (
  select l.lane
  from {schema}.lane l, fence
  where l.side = 'relay' and l.owner = $1::text and l.due <= now()
  order by l.due
  limit $4::bigint
  for no key update of l skip locked
)
update {schema}.lane l
set due = now() + make_interval(secs => $5::float8),
  claimed_by = $3::text,
  attempts = l.attempts + (l.cause in ('rejected', 'resting'))::int
from due d
where l.side = 'relay' and l.owner = $1::text and l.lane = d.lane
returning l.lane, l.cause, l.attempts
