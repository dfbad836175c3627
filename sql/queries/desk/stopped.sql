-- desk: stopped
-- Streams of a consumer that an incident of that kind stopped, and what they leave behind when they go on.
select
  p.topic, p.partition, p.next_offset, p.stopped_from, p.stopped_to, p.epoch,
  (
    select count(*)
    from {schema}.letter t
    where t.side = 'consumer' and t.owner = p.consumer and t.closed is null
      and t.source_topic = p.topic and coalesce(t.source_partition, -1) = p.partition
  ) as letters
from {schema}.consumer_position p
where p.consumer = $1::text and p.stopped_kind = $2::text
order by p.topic, p.partition
