-- lease: look
-- One row, and the session lock of the epoch it shows: whoever gets that while the lease runs has proof that the
-- holder's session is gone. Only a holder with a direct connection has the lock at all.
select
  c.epoch,
  l.free,
  case when not l.free and starts_with(c.holder, 'direct-')
    then pg_try_advisory_lock(hashtextextended($3::text || c.epoch, 0))
    else false
  end as orphaned
from {schema}.relay_cursor c
cross join lateral (
  select c.lease_until < clock_timestamp() or coalesce(c.holder = any ($2::text[]), false) as free
) l
where c.relay = $1::text
