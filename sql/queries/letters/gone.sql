-- letters: gone
-- Lanes of $3 that have no row any more: a person discarded what was stored of them.
select known.lane
from unnest($3::text[]) as known (lane)
where not exists (
  select from {schema}.lane l where l.side = $1::text and l.owner = $2::text and l.lane = known.lane
)
order by known.lane
