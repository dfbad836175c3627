-- inbox: sweep
-- Heads of blocked lanes of a stream whose effect is durable all the same: the application was given up on and finished later
-- (S35). What stands behind them is due. Lanes that somebody has in hand are left alone.
with heads as (
  select l.lane, h.letter
  from {schema}.lane l
  cross join lateral (
    select t.letter, t.message_id, t.replay_epoch
    from {schema}.letter t
    where t.side = 'consumer' and t.owner = $1::text and t.lane = l.lane and t.closed is null
    order by t.place
    limit 1
  ) h
  where l.side = 'consumer' and l.owner = $1::text and starts_with(l.lane, $2::text) and l.claimed_by is null
    and exists (
      select
      from {schema}.inbox i
      where i.consumer = $1::text and i.message_id = h.message_id and i.replay_epoch = h.replay_epoch and i.state = 'done'
    )
  order by l.lane
  limit 500
  for no key update of l skip locked
),
closed as (
  update {schema}.letter t
  set closed = 'delivered', closed_at = clock_timestamp()
  from heads h
  where t.letter = h.letter and t.closed is null
)
update {schema}.lane l
set due = now(), attempts = 0, cause = case l.cause when 'destination' then l.cause else 'resting' end
from heads h
where l.side = 'consumer' and l.owner = $1::text and l.lane = h.lane
returning l.lane
