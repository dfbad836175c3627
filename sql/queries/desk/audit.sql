-- desk: audit
insert into {schema}.audit (actor, verb, object, count, reason, detail)
values (coalesce($1::text, session_user), $2::text, $3::text, $4::bigint, $5::text, $6::jsonb)
