-- inbox: yield
-- A clean hand-over: the mark, and no claim but what others died of ($8).
update {schema}.consumer_position p
set next_offset = greatest(p.next_offset, $7::bigint), tried_to = $8::bigint, tried_by = null, tried_until = null,
  care = $9::int, alone_at = $10::bigint, alone_times = $11::int, counter = p.counter + 1
where p.consumer = $1::text and p.topic = $2::text and p.partition = $3::int
  and p.epoch = $4::bigint and p.holder = $5::uuid and p.counter >= $6::bigint
returning p.counter
