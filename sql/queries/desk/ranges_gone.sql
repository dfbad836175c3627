-- desk: ranges gone
-- In another topic the offsets mean other messages.
delete from {schema}.consumer_range r
where r.consumer = $1::text and r.topic = $2::text and r.partition = $3::int
