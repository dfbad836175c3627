-- cursor: bodies
-- Large payloads, once there is room for them.
select o.seq, o.payload from {schema}.outbox o where o.seq = any ($1::bigint[]) order by o.seq
