-- The truth ledger: beside the outbox, in the same database, so that both commit together.
create schema ledger;

create table ledger.lane (
    topic text,
    key text,
    kseq bigint not null,
    primary key (topic, key)
);

create table ledger.truth (
    event_id uuid primary key,
    key text,
    kseq bigint not null,
    topic text not null,
    fingerprint text not null
);

grant usage on schema ledger to twinbox_app;
grant select, update on ledger.lane to twinbox_app;
grant select, insert on ledger.truth to twinbox_app;
