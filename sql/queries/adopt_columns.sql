-- adopt: columns
-- Columns of the table to adopt; a domain counts as what it is made of.
select a.attname::text                                                        as name,
       format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null)           as type,
       t.typtype = 'e'                                                        as is_enum,
       a.attnotnull or t.typnotnull                                           as not_null,
       a.attidentity <> '' or coalesce(pg_get_expr(d.adbin, d.adrelid) like 'nextval(%', false) as numbered
from pg_attribute a
join pg_type t on t.oid = a.atttypid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped
order by a.attnum
