-- retention: empty a partition
-- Its name, or null. No row = fenced.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for share
)
select {schema}.empty_partition() from fence
