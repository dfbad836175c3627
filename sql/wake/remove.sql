-- wake: removed. Relays poll from now on.
drop trigger if exists twinbox_wake on {schema}.outbox;
drop function if exists {schema}.wake();
