-- desk: pause
-- The first who said so stays. No row: it is paused already.
insert into {schema}.pause (side, owner, ending, key, actor, reason)
values ($1::text, $2::text, $3::text, $4::bytea, coalesce($5::text, session_user), $6::text)
on conflict do nothing
