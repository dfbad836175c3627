-- desk: accept
-- The relay that stopped looks for it, goes on, and uses it up; system_changed was done beside this and is used already.
insert into {schema}.acceptance (relay, kind, actor, reason, used_at)
select
  c.relay, $2::text, coalesce($3::text, session_user), $4::text,
  case when $2::text = 'system_changed' then clock_timestamp() end
from {schema}.relay_cursor c
where c.relay = $1::text
returning acceptance
