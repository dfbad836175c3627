-- desk: accept
-- The relay that stopped looks for it, goes on, and uses it up.
insert into {schema}.acceptance (relay, kind, actor, reason)
select c.relay, $2::text, coalesce($3::text, session_user), $4::text
from {schema}.relay_cursor c
where c.relay = $1::text
returning acceptance
