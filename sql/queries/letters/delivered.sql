-- letters: delivered
update {schema}.letter t
set closed = 'delivered', closed_at = clock_timestamp()
where t.letter = any ($2::bigint[]) and t.side = 'relay' and t.owner = $1::text and t.closed is null
