-- desk: lock
select l.lane
from {schema}.lane l
where l.side = $1::text and l.owner = $2::text and l.lane = any ($3::text[])
order by l.lane
for no key update
