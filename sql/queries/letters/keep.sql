-- letters: keep
-- The bytes go from table to table inside the database, converted as a reader would see them. Heads come with what
-- happened to them. A row that is a letter already, open or judged, is not stored twice.
insert into {schema}.letter (
  side, owner, lane, place, seq, message_id, aggregatetype, type, key, payload, headers, traceparent, occurred_at,
  attempts, error_kind, error_type, error_message, error_chain, fingerprint, first_failed_at, last_failed_at, trace_id, epoch
)
select
  'relay', $1::text, g.lane, g.place, o.seq, o.id, o.aggregatetype, o.type, convert_to(o.aggregateid, 'UTF8'),
  case pg_typeof(o.payload)
    when 'bytea'::regtype then decode(substr(o.payload::text, 3), 'hex')
    else convert_to(o.payload::text, 'UTF8')
  end,
  o.headers, o.traceparent, o.created_at,
  coalesce(h.attempts, 0), h.kind, h.type, h.message, h.chain, h.fingerprint,
  case when h.seq is not null then clock_timestamp() end, case when h.seq is not null then clock_timestamp() end,
  split_part(o.traceparent, '-', 2), $2::bigint
from unnest($3::text[], $4::text[], $5::bigint[]) g (lane, place, seq)
join {schema}.outbox o on o.seq = g.seq
left join unnest($6::bigint[], $7::int[], $8::text[], $9::text[], $10::text[], $11::jsonb[], $12::text[])
  h (seq, attempts, kind, type, message, chain, fingerprint) on h.seq = g.seq
order by g.lane, g.place
on conflict do nothing
