-- inbox: memory
-- An id that is written now goes with the rotation after the next.
select
  extract(epoch from coalesce(max(c.retention), '7 days'))::float8 as retention,
  extract(epoch from clock_timestamp() - coalesce(g.previous_at, g.started_at))::float8 as reaches
from {schema}.inbox_generation g
left join {schema}.consumer c on true
group by g.previous_at, g.started_at
