-- desk: pauses
select p.key, p.actor, p.reason, p.since
from {schema}.pause p
where p.side = $1::text and p.owner = $2::text
order by p.ending
