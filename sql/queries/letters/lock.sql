-- letters: lock
-- Which of these lanes are blocked; their rows are locked until the end of the transaction.
select l.lane, l.claimed_by is not distinct from $3::text as ours
from {schema}.lane l
where l.side = 'relay' and l.owner = $1::text and l.lane = any ($2::text[])
order by l.lane
for no key update
