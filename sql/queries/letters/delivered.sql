-- letters: delivered
update {schema}.letter t
set closed = 'delivered', closed_at = clock_timestamp()
where t.letter = any ($3::bigint[]) and t.side = $1::text and t.owner = $2::text and t.closed is null
