-- cursor: open
-- Committed before anything of the window is read. No row = fenced.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for share
)
insert into {schema}.relay_window (relay, number, upper)
select $1::text, $4::bigint, pg_current_snapshot()
from fence
returning upper
