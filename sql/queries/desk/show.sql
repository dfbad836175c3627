-- desk: show
select
  t.lane, t.place, t.seq, t.replay_epoch, t.closed, t.aggregatetype, t.type, t.payload, t.headers, t.traceparent, t.occurred_at
from {schema}.letter t
where t.letter = $1::bigint
