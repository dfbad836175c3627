-- inbox: known
-- In whatever generation is kept.
select i.message_id, i.replay_epoch
from {schema}.inbox i
where i.consumer = $1::text and i.message_id = any ($2::uuid[])
