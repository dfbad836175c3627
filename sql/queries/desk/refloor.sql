-- desk: refloor
with newest as (
  select c.relay, coalesce(max(w.number), 0) + 1 as number
  from {schema}.relay_cursor c
  left join {schema}.relay_window w on w.relay = c.relay
  group by c.relay
)
insert into {schema}.relay_window (relay, number, upper, rest)
select n.relay, n.number, $1::pg_snapshot, '{}'
from newest n
order by n.relay
