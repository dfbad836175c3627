-- cursor: size
-- As it would be on the wire; the server knows it without reading the row's body.
select octet_length(o.payload)::bigint from {schema}.outbox o where o.seq = $1::bigint
