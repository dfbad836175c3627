-- letters: dead
-- The broker's dead-letter destination has it. The letter stays: it is how a re-read row is known to be settled.
update {schema}.letter t
set closed = 'dead', closed_at = clock_timestamp(), attempts = t.attempts + 1,
  error_kind = d.kind, error_type = d.type, error_message = d.message, error_chain = d.chain, fingerprint = d.fingerprint,
  first_failed_at = coalesce(t.first_failed_at, clock_timestamp()), last_failed_at = clock_timestamp()
from unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::text[])
  d (letter, kind, type, message, chain, fingerprint)
where t.letter = d.letter and t.side = $1::text and t.owner = $2::text and t.closed is null
