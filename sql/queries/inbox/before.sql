-- inbox: before
-- Which of these the previous generation has. In a batch it goes out together with `remember`.
select i.message_id, i.replay_epoch
from {schema}.inbox i
where i.generation = $1::int and i.consumer = $2::text and i.message_id = any ($3::uuid[])
