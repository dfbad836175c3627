-- The ledger of migrations. Made before everything else, and never changed.
create table if not exists {schema}.migration (
  component  text not null,
  version    int not null,
  name       text not null,
  checksum   text not null,
  applied_at timestamptz not null default clock_timestamp(),
  applied_by text not null default current_user,
  "binary"   text not null,
  primary key (component, version)
);

comment on table {schema}.migration is 'twinbox: which files of sql/ were applied here, by whom, by which binary; checksums must not change';
comment on column {schema}.migration.component is 'outbox, inbox, letters, wake or payload; each is numbered apart';
comment on column {schema}.migration.checksum is 'SHA-256 of the file as shipped';
