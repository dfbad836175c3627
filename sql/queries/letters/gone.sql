-- letters: gone
-- Lanes of $2 that have no row any more: a person discarded what was stored of them.
select known.lane
from unnest($2::text[]) as known (lane)
where not exists (
  select from {schema}.lane l where l.side = 'relay' and l.owner = $1::text and l.lane = known.lane
)
order by known.lane
