-- retention: make a partition
-- Whether one was missing. No row = fenced.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for share
)
select {schema}.make_partition() from fence
