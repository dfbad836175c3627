-- letters: rest
-- Until a moment, or until somebody releases the lane; and what happened to its head.
with rests as (
  select *
  from unnest($4::text[], $5::text[], $6::float8[], $7::int[], $8::text[], $9::text[], $10::text[], $11::jsonb[], $12::text[])
    r (lane, cause, due, attempts, kind, type, message, chain, fingerprint)
),
rested as (
  update {schema}.lane l
  set due = coalesce(now() + make_interval(secs => r.due), 'infinity'),
    cause = r.cause, claimed_by = null, attempts = r.attempts
  from rests r
  where l.side = $1::text and l.owner = $2::text and l.lane = r.lane and l.claimed_by = $3::text
)
update {schema}.letter t
set attempts = r.attempts,
  error_kind = r.kind, error_type = r.type, error_message = r.message, error_chain = r.chain, fingerprint = r.fingerprint,
  first_failed_at = coalesce(t.first_failed_at, clock_timestamp()), last_failed_at = clock_timestamp()
from rests r
cross join lateral (
  select h.letter
  from {schema}.letter h
  where h.side = $1::text and h.owner = $2::text and h.lane = r.lane and h.closed is null
  order by h.place
  limit 1
) head
where t.letter = head.letter
