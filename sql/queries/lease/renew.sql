-- lease: renew
-- On the session that holds the lock; a new session of the same holder takes it again.
with renewed as (
  update {schema}.relay_cursor
  set lease_until = clock_timestamp() + make_interval(secs => $4::float8)
  where relay = $1::text and epoch = $2::bigint and holder = $3::text
  returning epoch
)
select $5::boolean or starts_with($3::text, 'direct-') and pg_try_advisory_lock(hashtextextended($6::text || r.epoch, 0)) as locked
from renewed r
