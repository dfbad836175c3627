-- inbox: identities
-- What the inbox knows these open letters by.
select t.message_id, t.replay_epoch
from {schema}.letter t
where t.side = 'consumer' and t.owner = $1::text and t.letter = any ($2::bigint[]) and t.closed is null
