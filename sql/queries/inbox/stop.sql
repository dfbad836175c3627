-- inbox: stop
-- The stream stands still until somebody accepts it; everything below the mark is settled.
update {schema}.consumer_position p
set stopped_kind = $8::text, stopped_from = $9::bigint, stopped_to = $10::bigint, stopped_at = clock_timestamp(),
  next_offset = greatest(p.next_offset, $7::bigint), counter = p.counter + 1
where p.consumer = $1::text and p.topic = $2::text and p.partition = $3::int
  and p.epoch = $4::bigint and p.holder = $5::uuid and p.counter >= $6::bigint
returning p.counter
