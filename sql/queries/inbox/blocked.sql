-- inbox: blocked
-- All blocked lanes of a stream, read after it was taken over (S27).
select l.lane
from {schema}.lane l
where l.side = 'consumer' and l.owner = $1::text and starts_with(l.lane, $2::text)
order by l.lane
