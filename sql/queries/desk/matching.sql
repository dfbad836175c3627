-- desk: matching
-- Open letters that match, and what the inbox knows them by.
select t.letter, t.message_id, t.replay_epoch
from {schema}.letter t
where t.side = $1::text and t.owner = $2::text and t.lane = any ($3::text[]) and t.closed is null
  and ($4::bigint[] is null or t.letter = any ($4::bigint[]))
  and ($5::bytea is null or t.key = $5::bytea)
  and ($6::text is null or t.fingerprint = $6::text)
order by t.letter
