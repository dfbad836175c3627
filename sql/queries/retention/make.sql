-- retention: make a partition
-- Whether one was missing. No row = fenced. No lock: making one too many harms nobody, and the lease must be renewed beside it.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text
)
select {schema}.make_partition() from fence
