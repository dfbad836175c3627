-- lease: take
-- The session lock of the new epoch is taken before the epoch can be seen: a standby never finds one without the other.
with taken as (
  update {schema}.relay_cursor
  set holder = $2::text, epoch = epoch + 1, lease_until = clock_timestamp() + make_interval(secs => $3::float8)
  where relay = $1::text
    and epoch = $4::bigint
    and ($5::boolean or lease_until < clock_timestamp() or holder = any ($6::text[]))
  returning epoch
)
select t.epoch, starts_with($2::text, 'direct-') and pg_try_advisory_lock(hashtextextended($7::text || t.epoch, 0)) as locked
from taken t
