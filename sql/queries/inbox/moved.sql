-- inbox: moved
-- Streams that an operator has moved, and nobody has taken over since.
select p.topic, p.partition, p.epoch
from {schema}.consumer_position p
where p.consumer = $1::text and p.holder is null and p.epoch > 0
