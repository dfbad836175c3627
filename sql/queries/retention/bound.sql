-- retention: bound
-- Rows of transactions below it are settled for every relay and old enough for the slowest; null = nothing may go. A relay
-- without a floor holds everything back, and so does one that keeps its rows. And where the last batch of any ended.
select
  case when bool_or(c.retention is null or r.settled is null) then null else least(
    (array_agg(r.settled order by r.settled))[1],
    (
      select h.horizon
      from {schema}.relay_horizon h
      where h.noted_at <= clock_timestamp() - max(c.retention)
      order by h.noted_at desc
      limit 1
    )
  ) end as bound,
  (array_agg(c.deleted_up_to order by c.deleted_up_to desc nulls last))[1] as deleted_up_to
from {schema}.relay_cursor c
left join lateral (
  select w.upper from {schema}.relay_window w where w.relay = c.relay order by w.number limit 1
) f on true
cross join lateral (
  select pg_snapshot_xmin(case c.source when 'wal' then c.mark else f.upper end) as settled
) r
