-- inbox: hold
-- The last statement of every transaction that is written for a stream: no row = it is another owner's, or the database
-- went back behind what we saw committed ($6, S21). The mark (null = as it was) never goes back.
update {schema}.consumer_position p
set counter = p.counter + 1, next_offset = greatest(p.next_offset, $7::bigint)
where p.consumer = $1::text and p.topic = $2::text and p.partition = $3::int
  and p.epoch = $4::bigint and p.holder = $5::uuid and p.counter >= $6::bigint
returning p.counter
