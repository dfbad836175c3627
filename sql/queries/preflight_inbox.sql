-- preflight: inbox
-- What a consumer must be allowed to do in our schema, and is not; a missing table or function counts as no right.
select w.name, w.privilege, c.oid is not null as present
from unnest(
  array['inbox', 'inbox', 'inbox_generation', 'consumer', 'consumer', 'consumer', 'consumer_position', 'consumer_position',
        'consumer_position', 'lane', 'lane', 'lane', 'lane', 'letter', 'letter', 'letter', 'pause'],
  array['select', 'insert', 'select', 'select', 'insert', 'update', 'select', 'insert',
        'update', 'select', 'insert', 'update', 'delete', 'select', 'insert', 'update', 'select']
) with ordinality w (name, privilege, at)
left join pg_namespace n on n.nspname = $1::text
left join pg_class c on c.relnamespace = n.oid and c.relname = w.name
where c.oid is null
   or not has_schema_privilege(n.oid, 'usage')
   or not has_table_privilege(c.oid, w.privilege)
union all
select w.name, 'execute', p.oid is not null
from unnest(array['enter_generation', 'rotate_inbox']) w (name)
left join pg_namespace n on n.nspname = $1::text
left join pg_proc p on p.pronamespace = n.oid and p.proname = w.name
where p.oid is null or not has_schema_privilege(n.oid, 'usage') or not has_function_privilege(p.oid, 'execute')
