-- desk: drop
-- They stay as dedupe facts (S4).
update {schema}.letter t
set closed = 'dropped', closed_at = clock_timestamp()
where t.side = $1::text and t.owner = $2::text and t.lane = any ($3::text[]) and t.closed is null
  and ($4::bigint[] is null or t.letter = any ($4::bigint[]))
  and ($5::bytea is null or t.key = $5::bytea)
  and ($6::text is null or t.fingerprint = $6::text)
returning t.letter, t.lane, t.seq
