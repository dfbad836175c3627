-- inbox: assume
-- Fences whoever had the stream before.
update {schema}.consumer_position p
set epoch = p.epoch + 1, holder = $4::uuid, system_id = $5::bigint, timeline = $6::int
where p.consumer = $1::text and p.topic = $2::text and p.partition = $3::int
returning p.epoch
