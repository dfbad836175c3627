-- inbox: free
-- Claims of lanes of a stream that are void: of an owner before ($3 null: all), or our own, signed off. An attempt that was
-- counted is given back, because nobody knows whether its letters were tried (S39); not that of a letter that was out alone
-- when the process died ($4).
with claimed as (
  select l.lane
  from {schema}.lane l
  where l.side = 'consumer' and l.owner = $1::text and starts_with(l.lane, $2::text)
    and l.claimed_by is not null and ($3::text is null or l.claimed_by = $3::text)
  order by l.lane
  for no key update
)
update {schema}.lane l
set claimed_by = null, due = now(),
  attempts = greatest(l.attempts - case
    when l.cause not in ('rejected', 'resting') then 0
    when exists (
      select
      from {schema}.letter t
      where t.side = 'consumer' and t.owner = l.owner and t.lane = l.lane and t.closed is null
        and t.source_offset = $4::bigint
    ) then 0
    else 1
  end, 0)
from claimed c
where l.side = 'consumer' and l.owner = $1::text and l.lane = c.lane
