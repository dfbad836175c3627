-- inbox 0002: the generation's lock, `once` for applications, and the rotation.
--
-- The lock's key: the class is the letters 'twib' as a number, the second half is the schema's name, hashed; so there is one
-- lock per schema, and it never runs out of lock memory. Whoever writes to the inbox takes it shared, by enter_generation;
-- only the rotation takes it exclusively. It ends with the transaction.
create function {schema}.inbox_lock(out class int, out schema int)
language sql immutable
set search_path = pg_catalog, pg_temp
as $function$
  select 1953982818, hashtext('{schema}')
$function$;
revoke execute on function {schema}.inbox_lock() from public;

comment on function {schema}.inbox_lock() is 'twinbox: key of the advisory lock under which generations of the inbox change';

-- First of all in a transaction that writes to the inbox. The number is read in a statement of its own, after the lock: it
-- is true until the transaction ends. Where every statement has the transaction's snapshot, that may be older than a
-- rotation; the sequence has no snapshot, and tells.
create function {schema}.enter_generation(out current int, out previous int)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
  perform pg_advisory_xact_lock_shared(k.class, k.schema) from {schema}.inbox_lock() k;
  select g.current, g.current - 1 into current, previous from {schema}.inbox_generation g;
  if current_setting('transaction_isolation') in ('repeatable read', 'serializable')
    and current <> (select s.last_value from {schema}.inbox_number s)
  then
    raise exception 'the inbox has been rotated since this transaction began'
      using errcode = 'serialization_failure', hint = 'run the transaction again';
  end if;
end
$function$;
revoke execute on function {schema}.enter_generation() from public;

comment on function {schema}.enter_generation() is 'twinbox: keeps the inbox from being rotated until this transaction ends; answers the generations that are kept';

-- For an application that does an effect by itself, in the transaction of that effect. The row of another transaction that
-- is not over yet is waited for.
create function {schema}.once(token text) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
  part constant text[] := regexp_match(token, '^([a-z][a-z0-9_]{0,39}):([0-9a-f-]{36}):([0-9]{1,10})$');
  kept record;
begin
  if part is null then
    raise exception 'that is no value of a twinbox-once header'
      using errcode = 'invalid_parameter_value', hint = 'pass the header''s value as it came: select {schema}.once($1)';
  end if;
  select * into kept from {schema}.enter_generation();
  if exists (
    select
    from {schema}.inbox i
    where i.generation = kept.previous and i.consumer = part[1] and i.message_id = part[2]::uuid
      and i.replay_epoch = part[3]::int
  ) then
    return false;
  end if;
  insert into {schema}.inbox (generation, consumer, message_id, replay_epoch)
  values (kept.current, part[1], part[2]::uuid, part[3]::int)
  on conflict do nothing;
  return found;
end
$function$;
revoke execute on function {schema}.once(text) from public;

comment on function {schema}.once(text) is 'twinbox: true = first time, do the effect in this transaction; false = done or given up before, skip it';

-- The next generation, once the current one is as old as the longest retention; or the rest of a rotation that ended before
-- its last statement did. The owner's rights, because only an owner may drop. Waits for whoever writes, a second at most:
-- everybody else waits behind it meanwhile. again: when to ask for the next.
create function {schema}.rotate_inbox(out rotated boolean, out again interval)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $function$
declare
  retention interval;
  known record;
  next int;
begin
  rotated := false;
  select coalesce(max(c.retention), '7 days') into retention from {schema}.consumer c;
  for pass in 1..2 loop
    select g.current, g.started_at, s.last_value as newest into known from {schema}.inbox_generation g, {schema}.inbox_number s;
    again := known.started_at + retention - clock_timestamp();
    if again > '0' and known.newest = known.current then
      return;
    end if;
    if pass = 1 then
      -- Looked at once more under the lock: another one may have done it.
      perform pg_advisory_xact_lock(k.class, k.schema) from {schema}.inbox_lock() k;
    end if;
  end loop;
  next := greatest(known.newest, known.current + 1);
  execute format('create table {schema}.%I partition of {schema}.inbox for values in (%s)', 'inbox_' || next, next);
  execute format('drop table if exists {schema}.%I', 'inbox_' || (known.current - 1));
  rotated := true;
  again := retention;
  -- Last: a number that was drawn is never given back, and this one says to all that the rotation is over.
  update {schema}.inbox_generation g
  set current = case when known.newest = next then next else nextval('{schema}.inbox_number') end,
    previous_at = g.started_at, started_at = clock_timestamp();
end
$function$;
revoke execute on function {schema}.rotate_inbox() from public;

comment on function {schema}.rotate_inbox() is 'twinbox: begins the next generation of the inbox when it is time, and drops the one before the last';
