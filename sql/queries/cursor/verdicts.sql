-- cursor: verdicts
-- Rows of a replayed window about which a verdict was given: they are settled (S4).
select l.seq
from {schema}.letter l
where l.side = 'relay' and l.owner = $1::text and l.seq = any ($2::bigint[]) and l.replay_epoch = 0
  and l.closed in ('dropped', 'dead')
order by l.seq
