-- wake 0001: notify if asleep.
--
-- NOTIFY takes one lock of the whole cluster through the commit's fsync, so writers notify only when a relay sleeps. A
-- relay holds the advisory lock (outbox's oid, its relay_cursor.wake) while it sleeps; a writer that cannot share it
-- knows. The writer's share lives until its commit is visible, so a relay that gets the lock has seen everybody who did
-- not notify. A share is asked for again in every statement: a rolled-back savepoint gives it back.
--
-- The owner's rights, because writers may not read relay_cursor. Not for producers that PREPARE TRANSACTION: a
-- transaction that has notified cannot be prepared (`migrate` leaves this out where max_prepared_transactions > 0).
create function {schema}.wake() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
  perform pg_notify('twinbox', c.wake::text)
  from {schema}.relay_cursor c
  where not pg_try_advisory_xact_lock_shared(tg_relid::int, c.wake);
  return null;
end
$function$;

revoke execute on function {schema}.wake() from public;

create trigger twinbox_wake
after insert on {schema}.outbox
for each statement execute function {schema}.wake();

comment on function {schema}.wake is 'twinbox: tells a sleeping relay that rows have arrived; costs nothing much while it is awake';
comment on trigger twinbox_wake on {schema}.outbox is 'twinbox: notify if asleep; migrate --no-wake removes it';
