-- cursor: size
-- As it would be on the wire; read inside the server, one row at a time.
select octet_length(o.payload::text)::bigint from {schema}.outbox o where o.seq = $1::bigint
