-- inbox: enlist
-- How long this consumer wants ids to be remembered. Said again once a minute, not with every stream.
insert into {schema}.consumer as c (consumer, retention)
values ($1::text, make_interval(secs => $2::float8))
on conflict (consumer) do update set retention = excluded.retention, seen_at = clock_timestamp()
where c.retention <> excluded.retention or c.seen_at < clock_timestamp() - interval '1 minute'
