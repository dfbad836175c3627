-- preflight: columns
-- Columns of the outbox with what fills them, and the sequence behind an identity or serial column.
select a.attname::text                                    as name,
       format_type(a.atttypid, null)                      as type,
       a.attnotnull                                       as not_null,
       a.attidentity <> ''                                as identity,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '')      as filler,
       s.seqincrement                                     as increment,
       s.seqcache                                         as cache,
       s.seqcycle                                         as cycle
from pg_attribute a
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_depend p on p.refclassid = 'pg_class'::regclass and p.refobjid = a.attrelid and p.refobjsubid = a.attnum
                     and p.classid = 'pg_class'::regclass and p.deptype in ('a', 'i')
left join pg_sequence s on s.seqrelid = p.objid
where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped
order by a.attnum
