-- inbox: sign
-- From now on the handler may be called for everything below $7, for as long as $8 says; a successor finds it (S23).
update {schema}.consumer_position p
set tried_to = $7::bigint, tried_by = $5::uuid, tried_until = clock_timestamp() + make_interval(secs => $8::float8),
  care = $9::int, alone_at = $10::bigint, alone_times = $11::int, counter = p.counter + 1
where p.consumer = $1::text and p.topic = $2::text and p.partition = $3::int
  and p.epoch = $4::bigint and p.holder = $5::uuid and p.counter >= $6::bigint
returning p.counter
