-- desk: consumer
-- Whether there is such a consumer here, and whether somebody works for it: a process says so every minute, a claim lasts as
-- long as its calls, and whoever hands a stream over cleanly holds it no longer.
select
  coalesce(bool_or(c.seen_at > clock_timestamp() - interval '3 minutes' and p.holder is not null), false)
    or coalesce(bool_or(p.tried_until > clock_timestamp()), false) as running
from {schema}.consumer c
left join {schema}.consumer_position p on p.consumer = c.consumer
where c.consumer = $1::text
group by c.consumer
