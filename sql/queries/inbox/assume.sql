-- inbox: assume
-- Fences whoever had the stream before. What stopped it is told again, if it still does.
update {schema}.consumer_position p
set epoch = p.epoch + 1, holder = $4::uuid, system_id = $5::bigint, timeline = $6::int,
  stopped_kind = null, stopped_from = null, stopped_to = null, stopped_at = null
where p.consumer = $1::text and p.topic = $2::text and p.partition = $3::int
returning p.epoch
