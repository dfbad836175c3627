-- adopt: payload
-- What the outbox's payload is.
select format_type(a.atttypid, null)
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1::text and c.relname = 'outbox' and a.attname = 'payload'
