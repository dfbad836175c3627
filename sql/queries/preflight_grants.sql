-- preflight: grants
-- What a relay must be allowed to do in our schema, and is not; a missing table counts as no right.
select w.name, w.privilege, c.oid is not null as present
from unnest(
  array['outbox', 'outbox', 'relay_cursor', 'relay_cursor', 'relay_cursor', 'relay_window', 'relay_window', 'relay_window',
        'relay_window', 'relay_destination', 'relay_destination', 'relay_destination', 'relay_horizon', 'relay_horizon',
        'relay_horizon', 'lane', 'lane', 'lane', 'lane', 'letter', 'letter', 'letter', 'acceptance', 'audit', 'pause'],
  array['select', 'delete', 'select', 'insert', 'update', 'select', 'insert', 'update',
        'delete', 'select', 'insert', 'update', 'select', 'insert',
        'delete', 'select', 'insert', 'update', 'delete', 'select', 'insert', 'update', 'select', 'insert', 'select']
) with ordinality w (name, privilege, at)
left join pg_namespace n on n.nspname = $1::text
left join pg_class c on c.relnamespace = n.oid and c.relname = w.name
where c.oid is null
   or not has_schema_privilege(n.oid, 'usage')
   or not has_table_privilege(c.oid, w.privilege)
order by w.at
