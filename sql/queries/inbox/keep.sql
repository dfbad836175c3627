-- inbox: keep
-- Letters with the bytes as received. Heads come with what happened to them (no kind = not a head). A message that is an
-- open letter already is not stored twice. $3: closed at once.
insert into {schema}.letter (
  side, owner, epoch, closed, closed_at, lane, place, message_id, replay_epoch, aggregatetype, type, key, payload, headers, traceparent,
  occurred_at, source_topic, source_partition, source_offset, origin,
  attempts, error_kind, error_type, error_message, error_chain, fingerprint, first_failed_at, last_failed_at, trace_id
)
select
  'consumer', $1::text, $2::bigint, $3::text, case when $3::text is not null then clock_timestamp() end, m.lane, m.place, m.message_id, m.replay_epoch, m.aggregatetype, m.type, m.key, m.payload,
  m.headers, m.traceparent, m.occurred_at, m.topic, m.partition, m."offset", m.origin,
  m.attempts, m.kind, m.code, m.message, m.chain, m.fingerprint,
  case when m.kind is not null then clock_timestamp() end, case when m.kind is not null then clock_timestamp() end,
  split_part(m.traceparent, '-', 2)
from unnest(
  $4::text[], $5::text[], $6::uuid[], $7::int[], $8::text[], $9::text[], $10::bytea[], $11::bytea[],
  $12::jsonb[], $13::text[], $14::timestamptz[], $15::text[], $16::int[], $17::bigint[], $18::jsonb[],
  $19::int[], $20::text[], $21::text[], $22::text[], $23::jsonb[], $24::text[]
) m (
  lane, place, message_id, replay_epoch, aggregatetype, type, key, payload,
  headers, traceparent, occurred_at, topic, partition, "offset", origin,
  attempts, kind, code, message, chain, fingerprint
)
order by m.lane, m.place
on conflict do nothing
