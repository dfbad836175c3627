-- inbox: begin
-- Where a stream begins that has no position of record; one that has keeps it (S22).
update {schema}.consumer_position p
set next_offset = coalesce(p.next_offset, $7::bigint), counter = p.counter + 1
where p.consumer = $1::text and p.topic = $2::text and p.partition = $3::int
  and p.epoch = $4::bigint and p.holder = $5::uuid and p.counter >= $6::bigint
returning p.counter
