//! The Postgres adapter: source, lease, letters, migrations.
