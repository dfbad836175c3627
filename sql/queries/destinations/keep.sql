-- destinations: keep
-- 0 rows = fenced. An offset of -1 means that none is known.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for share
)
insert into {schema}.relay_destination as d (relay, destination, partitions, acked)
select $1::text, $4::text, $5::int, $6::bigint[] from fence
on conflict (relay, destination) do update
set partitions = excluded.partitions, acked = excluded.acked, seen_at = clock_timestamp()
returning d.partitions
