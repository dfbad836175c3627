-- letters: lock
-- Which of these lanes are blocked; their rows are locked until the end of the transaction.
select l.lane, l.claimed_by is not distinct from $4::text as ours
from {schema}.lane l
where l.side = $1::text and l.owner = $2::text and l.lane = any ($3::text[])
order by l.lane
for no key update
