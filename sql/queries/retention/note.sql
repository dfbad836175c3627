-- retention: note
-- Which transactions had finished at which time: the age of rows without an index on it. What is older than the note by
-- which rows are deleted now says nothing more.
with noted as (
  insert into {schema}.relay_horizon (noted_at, horizon)
  select clock_timestamp(), pg_snapshot_xmin(pg_current_snapshot())
  where not exists (
    select from {schema}.relay_horizon h where h.noted_at > clock_timestamp() - make_interval(secs => $1::float8)
  )
  on conflict do nothing
)
delete from {schema}.relay_horizon h
where h.noted_at < (
  select max(n.noted_at)
  from {schema}.relay_horizon n
  where n.noted_at <= clock_timestamp() - (select max(c.retention) from {schema}.relay_cursor c)
)
