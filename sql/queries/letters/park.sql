-- letters: park
-- A lane that is blocked already stays as it is: the store is repeated after an unknown outcome.
insert into {schema}.lane as l (side, owner, lane, cause, due, attempts)
select 'relay', $1::text, p.lane, p.cause, coalesce(now() + make_interval(secs => p.due), 'infinity'), p.attempts
from unnest($2::text[], $3::text[], $4::float8[], $5::int[]) p (lane, cause, due, attempts)
order by p.lane
on conflict (side, owner, lane) do update set cause = l.cause
