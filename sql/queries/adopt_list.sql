-- adopt: list
-- All tables whose rows are copied into our outbox. Leaves of a partitioned table have a trigger of their parent's.
select n.nspname::text                                                        as schema,
       c.relname::text                                                        as name,
       t.tgenabled::text                                                      as enabled,
       obj_description(t.oid, 'pg_trigger')                                   as signature,
       md5(pg_get_functiondef(p.oid) || pg_get_triggerdef(t.oid))             as installed
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_proc p on p.oid = t.tgfoid
join pg_namespace o on o.oid = p.pronamespace
where o.nspname = $1::text and t.tgname = $2::text and t.tgparentid = 0
order by n.nspname, c.relname
