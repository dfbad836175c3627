-- letters: pick
-- Claims due lanes, each for one caller, who holds its fence before COMMIT. `now()`, because a volatile function is no index
-- condition. Attempts are counted before the call, where they speak of the message. $3: what the names of the caller's lanes
-- begin with. What is paused stays where it is, whatever its cause.
with due as (
  select l.lane
  from {schema}.lane l
  where l.side = $1::text and l.owner = $2::text and l.due <= now() and ($3::text = '' or starts_with(l.lane, $3::text))
    and not exists (
      select
      from {schema}.pause p
      where p.side = $1::text and p.owner = $2::text and right(l.lane, length(p.ending)) = p.ending
    )
  order by l.due
  limit $5::bigint
  for no key update skip locked
)
update {schema}.lane l
set due = now() + make_interval(secs => $6::float8),
  claimed_by = $4::text,
  attempts = l.attempts + (l.cause in ('rejected', 'resting'))::int
from due d
where l.side = $1::text and l.owner = $2::text and l.lane = d.lane
returning l.lane, l.cause, l.attempts
