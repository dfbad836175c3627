-- cursor: first window
-- The floor of a relay that starts for the first time: from the beginning, or from now.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for share
)
insert into {schema}.relay_window (relay, number, upper, rest)
select $1::text, 0, case when $4::boolean then pg_current_snapshot() else '1:1:'::pg_snapshot end, '{}'
from fence
where not exists (select from {schema}.relay_window w where w.relay = $1::text)
