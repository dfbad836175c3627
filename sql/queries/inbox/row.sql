-- inbox: row
-- The stream's row, if this is its first owner.
insert into {schema}.consumer_position (consumer, topic, partition)
values ($1::text, $2::text, $3::int)
on conflict do nothing
