-- letters: park
-- A lane that is blocked already stays as it is: the store is repeated after an unknown outcome.
insert into {schema}.lane as l (side, owner, lane, cause, due, attempts)
select $1::text, $2::text, p.lane, p.cause, coalesce(now() + make_interval(secs => p.due), 'infinity'), p.attempts
from unnest($3::text[], $4::text[], $5::float8[], $6::int[]) p (lane, cause, due, attempts)
order by p.lane
on conflict (side, owner, lane) do update set cause = l.cause
