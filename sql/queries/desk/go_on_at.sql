-- desk: go on at
-- Another epoch and no holder: whatever was begun before is fenced, and the owner takes the stream over anew. In a topic
-- that is another one, what was signed means nothing.
update {schema}.consumer_position p
set next_offset = p.stopped_to, epoch = p.epoch + 1, holder = null, counter = p.counter + 1,
  tried_to = case when $5::text <> 'topic_recreated' then p.tried_to end,
  tried_by = case when $5::text <> 'topic_recreated' then p.tried_by end,
  care = case when $5::text <> 'topic_recreated' then p.care else 0 end,
  stopped_kind = null, stopped_from = null, stopped_to = null, stopped_at = null
where p.consumer = $1::text and p.topic = $2::text and p.partition = $3::int
  and p.epoch = $4::bigint and p.stopped_kind = $5::text
returning p.next_offset
