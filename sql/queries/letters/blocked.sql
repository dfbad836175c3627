-- letters: blocked
-- All blocked lanes of a relay, for its new holder. Claims of before are void; a claim that counted an attempt gives it
-- back, because nobody knows whether its letters were tried.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for share
),
freed as (
  update {schema}.lane l
  set claimed_by = null, due = now(), attempts = greatest(l.attempts - (l.cause in ('rejected', 'resting'))::int, 0)
  from fence
  where l.side = 'relay' and l.owner = $1::text and l.claimed_by is not null
)
select l.lane
from fence
left join {schema}.lane l on l.side = 'relay' and l.owner = $1::text
order by l.lane
