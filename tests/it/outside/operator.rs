//! What an operator types, against a real database and with the operator's role: letters, accept, forget, enqueue.

use crate::support::postgres::{Database, Login};
use crate::support::relay::{Relay, twinbox};
use crate::support::{http, live, wait};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;

const NAME: &str = "orders";
const TOKEN: &str = "open-sesame";

/// A database with tables, roles and logins, and a relay's configuration: a row without the header `tenant` has no
/// destination, so its key is parked.
struct World {
    database: Database,
    _dir: TempDir,
    config: PathBuf,
    log: PathBuf,
}

impl World {
    async fn make(test: &str) -> Option<Self> {
        let url = live::postgres(test)?;
        let name = format!("{test}_{}", std::process::id());
        let database = Database::create(&url, &name).await;
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("twinbox.yaml");
        let relay = json!({ "to": { "memory": {} }, "route": { "topic": "{header:tenant}.events" } });
        let admin = json!({ "listen": "127.0.0.1:0", "token": TOKEN });
        let text = json!({ "relays": { NAME: relay }, "admin": admin });
        std::fs::write(&config, text.to_string()).expect("the directory is writable");
        let log = dir.path().join("log");
        let world = Self {
            database,
            _dir: dir,
            config,
            log,
        };
        for more in [&[][..], &["--roles"]] {
            let done = world.as_owner(&[&["migrate"][..], more].concat());
            assert_eq!(code(&done), 0, "{}", err(&done));
        }
        world.database.make_logins().await;
        Some(world)
    }

    fn run(&self, url: &str, arguments: &[&str]) -> Output {
        let mut command = twinbox(&[("DATABASE_URL", url)]);
        let command = command.args(arguments).arg("-c").arg(&self.config);
        command.output().expect("the binary was built")
    }

    fn as_owner(&self, arguments: &[&str]) -> Output {
        self.run(&self.database.owner_url(), arguments)
    }

    /// With the operator's role.
    fn operate(&self, arguments: &[&str]) -> Output {
        self.run(&self.database.login_url(Login::Operator), arguments)
    }

    fn relay(&self) -> Relay {
        let url = self.database.login_url(Login::Relay);
        Relay::start(NAME, &self.config, (&self.log, &[("DATABASE_URL", &url)]))
    }

    /// One row, as the application's role; a row without `tenant` is a poison.
    fn write(&self, key: &str, data: &str, poison: bool) {
        let url = self.database.login_url(Login::App);
        let arguments = ["enqueue", "--key", key, "--data", data];
        let header = if poison { &[][..] } else { &["--header", "tenant=acme"] };
        let done = self.run(&url, &[&arguments[..], header].concat());
        assert_eq!(code(&done), 0, "{}", err(&done));
    }

    /// The letters that are listed once there are so many.
    async fn letters(&self, count: usize) -> Vec<Value> {
        wait::until(&format!("{count} letters are listed"), wait::PATIENCE, || async {
            let listed = document(&self.operate(&["letters", "list", "-o", "json"]))?;
            let listed = listed.as_array().cloned().unwrap_or_default();
            wait::ensure(listed.len() == count, || format!("{listed:?}"))?;
            Ok(listed)
        })
        .await
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn document(output: &Output) -> Result<Value, String> {
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {}{}", out(output), err(output)))
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_seen_released_and_discarded() {
    let Some(world) = World::make("outside_letters").await else {
        return;
    };
    let mut relay = world.relay();
    let admin = relay.admin().await;
    world.write("7", r#"{"n":1}"#, true);
    world.write("7", r#"{"n":2}"#, false);
    world.write("8", r#"{"n":3}"#, false);
    world.write("9", r#"{"n":4}"#, true);

    let listed = world.letters(2).await;
    let first = &listed[0];
    let error = letters_say_what_happened(&world, first);
    let id = first["id"].to_string();
    let shown = out(&world.operate(&["letters", "show", &id]));
    assert!(
        shown.contains("key            7") && !shown.contains("{\"n\""),
        "{shown}"
    );
    let shown = document(&world.operate(&["letters", "show", &id, "--payload", "-o", "json"])).expect("JSON");
    assert_eq!(shown["payload"], r#"{"n": 1}"#, "{shown}");
    assert_eq!(code(&world.operate(&["letters", "show", "999999"])), 1);

    nothing_changes_unasked(&world, &error);
    let owner = world.database.owner().await;
    let audited = async || {
        let rows = owner.query(
            "select verb, count, reason, actor from twinbox.audit order by audit",
            &[],
        );
        let rows = rows.await.expect("a superuser may");
        let of = |row: &tokio_postgres::Row| (row.get(0), row.get(1), row.get(2), row.get(3));
        rows.iter()
            .map(of)
            .collect::<Vec<(String, i64, Option<String>, String)>>()
    };
    assert_eq!(audited().await, []);

    // It is as poisonous as before: released, it is a letter again.
    let again = world.operate(&[
        "letters", "release", "--key", "7", "--yes", "--wait", "300ms", "--reason", "mended",
    ]);
    assert_eq!(code(&again), 7, "{}", err(&again));
    let discard = world.operate(&["letters", "discard", "--id", &id, "--yes", "--reason", "bad row"]);
    assert_eq!(code(&discard), 0, "{}", err(&discard));
    let listed = world.letters(1).await;
    assert_eq!(listed[0]["key"], json!("9"));
    let operator = Login::Operator.name().to_owned();
    let expected = [
        ("release".to_owned(), 1, Some("mended".to_owned()), operator.clone()),
        ("discard".to_owned(), 1, Some("bad row".to_owned()), operator),
    ];
    assert_eq!(audited().await, expected);

    // The same over HTTP, for pages; the relay's role may do it, the token must be there.
    let bare = http::post(&admin, "/letters/discard").await.expect("an answer");
    assert_eq!(bare.status, 401);
    let (end, _) = relay.terminate(Duration::from_secs(20)).await;
    assert_eq!(end, "exit 0", "{}", relay.words());
    world.database.drop_it().await;
}

/// One letter in full, all of them as a table, and by error; answers the fingerprint of their error.
fn letters_say_what_happened(world: &World, first: &Value) -> String {
    for (field, value) in [
        ("side", json!("relay")),
        ("owner", json!(NAME)),
        ("key", json!("7")),
        ("state", json!("parked")),
        ("source", json!(null)),
    ] {
        assert_eq!(first[field], value, "{field} of {first}");
    }
    assert_eq!(first["error"]["kind"], "message", "{first}");
    let fields = ["id", "message_id", "attempts", "first_failed_at", "last_failed_at"];
    assert!(fields.iter().all(|field| !first[field].is_null()), "{first}");
    assert_eq!(out(&world.operate(&["letters", "list"])).lines().count(), 3);
    let grouped = world.operate(&["letters", "list", "--group-by", "error", "-o", "json"]);
    let grouped = document(&grouped).expect("JSON");
    assert_eq!(grouped[0]["letters"], json!(2), "{grouped}");
    grouped[0]["error"].as_str().expect("a fingerprint").to_owned()
}

/// Verbs that were not confirmed, or found nothing.
fn nothing_changes_unasked(world: &World, error: &str) {
    for (arguments, expected) in [
        (&["letters", "release", "--error", error][..], 2),
        (&["letters", "release", "--error", error, "--dry-run"], 0),
        (&["letters", "release", "--key", "nobody", "--yes"], 1),
        (&["letters", "discard", "--owner", "nobody", "--all", "--yes"], 1),
        (&["letters", "discard", "--yes"], 2),
    ] {
        let done = world.operate(arguments);
        assert_eq!(code(&done), expected, "{arguments:?}: {}", err(&done));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_is_forgotten_when_it_is_over() {
    let Some(world) = World::make("outside_forget").await else {
        return;
    };
    let mut relay = world.relay();
    world.write("7", "{}", true);
    world.letters(1).await;
    let running = world.operate(&["forget", NAME, "--yes"]);
    assert_eq!(code(&running), 1, "{}", err(&running));
    assert!(err(&running).contains("running"), "{}", err(&running));
    let url = format!("http://{}", relay.admin().await);
    let paused = world.operate(&["lanes", "pause", NAME, "--all", "--url", &url]);
    assert_eq!(code(&paused), 0, "{}", err(&paused));
    relay.terminate(Duration::from_secs(20)).await;

    let open = world.operate(&["forget", NAME, "--yes"]);
    assert_eq!(code(&open), 1);
    assert!(err(&open).contains("1 open letters"), "{}", err(&open));
    assert_eq!(code(&world.operate(&["letters", "discard", "--all", "--yes"])), 0);
    assert_eq!(
        code(&world.operate(&["forget", NAME])),
        2,
        "off a terminal it takes a yes"
    );
    let done = world.operate(&["forget", NAME, "--yes", "-o", "json"]);
    assert_eq!(document(&done).expect("JSON")["forgotten"], NAME);
    let left = world.database.owner().await;
    let left = left.query_one("select count(*) from twinbox.pause", &[]).await;
    let left: i64 = left.expect("a superuser may").get(0);
    assert_eq!(left, 0, "whoever begins anew under that name is not paused");
    let gone = world.operate(&["forget", NAME, "--yes"]);
    assert_eq!(code(&gone), 1);
    assert!(err(&gone).contains("there is no relay orders"), "{}", err(&gone));
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_held_back_and_let_go_on() {
    let Some(world) = World::make("outside_lanes").await else {
        return;
    };
    let mut relay = world.relay();
    let url = format!("http://{}", relay.admin().await);
    let lanes = |arguments: &[&str]| world.operate(&[&["lanes"], arguments, &["--url", &url]].concat());
    let key = ["--key", "7", "--by", "ann", "--reason", "wrong prices"];
    let pause = [&["pause", NAME][..], &key].concat();
    let resume = [&["resume", NAME][..], &key].concat();
    assert_eq!(code(&lanes(&["pause", NAME])), 2, "a key, or all of it");
    assert_eq!(code(&lanes(&["pause", "nobody", "--all"])), 1);
    assert!(out(&lanes(&pause)).contains("paused key 7 of orders"));
    let again = lanes(&pause);
    assert!(code(&again) == 0 && out(&again).contains("already"), "{}", out(&again));

    wait::until("the relay has heard", wait::PATIENCE, || async {
        wait::ensure(relay.log_text().contains("keys are paused"), || relay.words())
    })
    .await;
    world.write("7", r#"{"n":1}"#, false);
    let listed = wait::until("the row waits", wait::PATIENCE, || async {
        let listed = document(&lanes(&["list", "-o", "json"]))?;
        wait::ensure(listed[0]["letters"] == 1, || listed.to_string())?;
        Ok(listed)
    })
    .await;
    assert_eq!(
        (&listed[0]["state"], &listed[0]["paused"]["by"]),
        (&json!("paused"), &json!("ann"))
    );
    let hint = listed[0]["hint"].as_str().expect("what to type");
    assert_eq!(hint, "twinbox lanes resume orders --side relay --key 7");
    let shown = out(&lanes(&["show", NAME, "--key", "7"]));
    assert!(shown.contains("wrong prices"), "{shown}");

    assert_eq!(code(&lanes(&resume)), 0);
    assert_eq!(code(&lanes(&resume)), 1, "it is not paused");
    world.letters(0).await;
    let audited = world.database.owner().await;
    let sql = "select verb, object, actor, reason from twinbox.audit order by audit";
    let audited = audited.query(sql, &[]).await.expect("a superuser may");
    let audited: Vec<[String; 4]> = audited
        .iter()
        .map(|row| std::array::from_fn(|at| row.get(at)))
        .collect();
    assert_eq!(
        audited,
        ["pause", "resume"].map(|verb| [verb, NAME, "ann", "wrong prices"].map(str::to_owned))
    );
    assert_eq!(relay.terminate(Duration::from_secs(20)).await.0, "exit 0");
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_accepted_by_its_kind() {
    let Some(world) = World::make("outside_accept").await else {
        return;
    };
    assert_eq!(code(&world.operate(&["accept", NAME, "bad_weather"])), 2);
    let nobody = world.operate(&["accept", NAME, "timeline_changed"]);
    assert_eq!(code(&nobody), 1, "{}", err(&nobody));
    let mut relay = world.relay();
    relay.reaches("leading").await;
    let noted = world.operate(&["accept", NAME, "route_changed", "--reason", "moved"]);
    assert_eq!(code(&noted), 0, "{}", err(&noted));
    assert_eq!(
        code(&world.operate(&["accept", NAME, "system_changed"])),
        2,
        "it takes a yes"
    );
    relay.terminate(Duration::from_secs(20)).await;
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_is_content_with_what_migrate_made() {
    let Some(world) = World::make("outside_doctor").await else {
        return;
    };
    let url = world.database.login_url(Login::Relay);
    let seen = world.run(&url, &["doctor", "-o", "json"]);
    let seen = document(&seen).expect("JSON");
    assert_eq!(seen["passes"], json!(true), "{seen}");
    let strict = world.run(&url, &["doctor", "--strict", "--only", "memory"]);
    assert_eq!(code(&strict), 4, "a broker in memory is a warning: {}", out(&strict));
    assert_eq!(code(&world.as_owner(&["migrate", "--check"])), 0);
    world.database.drop_it().await;
}
