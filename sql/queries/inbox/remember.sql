-- inbox: remember
-- Answers those that this generation did not have. In the order of ids, so that two batches do not wait for each other; a
-- row that another transaction has not committed yet is waited for: that is what stops a zombie. What the previous
-- generation has is written once more, which does no harm.
insert into {schema}.inbox (generation, consumer, message_id, replay_epoch, state)
select $1::int, $2::text, w.message_id, w.replay_epoch, $3::text
from unnest($4::uuid[], $5::int[]) w (message_id, replay_epoch)
order by w.message_id, w.replay_epoch
on conflict do nothing
returning message_id, replay_epoch
