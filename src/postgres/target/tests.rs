//! What URLs and DSNs mean, and what they never tell.

use super::*;

fn parse(url: &str) -> Result<Target, TargetError> {
    Target::parse(url, &TlsConfig::default())
}

#[test]
fn the_url_says_how_far_the_server_is_verified() {
    let cases = [
        ("", TlsMode::Prefer),
        ("?sslmode=disable", TlsMode::Disable),
        ("?sslmode=require", TlsMode::Require),
        ("?sslmode=verify-ca", TlsMode::VerifyCa),
        ("?sslmode=verify-full", TlsMode::VerifyFull),
        ("?sslrootcert=/a.crt", TlsMode::VerifyFull),
        ("?sslrootcert=system", TlsMode::VerifyFull),
        ("?sslmode=require&sslrootcert=/a.crt", TlsMode::VerifyFull),
        ("?sslmode=verify-ca&sslrootcert=/a.crt", TlsMode::VerifyCa),
    ];
    for (query, mode) in cases {
        let target = parse(&format!("postgres://u@h/db{query}")).expect("readable");
        assert_eq!(target.mode(), mode, "{query}");
    }
}

#[test]
fn a_configured_authority_is_verified_in_full() {
    let files = TlsConfig {
        ca: Some("/ca.pem".into()),
        ..TlsConfig::default()
    };
    let target = Target::parse("postgres://u@h/db?sslmode=prefer", &files).expect("readable");
    assert_eq!(target.mode(), TlsMode::VerifyFull);
    assert_eq!(target.files(), &files);
    let refused = Target::parse("postgres://u@h/db?sslmode=disable", &files).err();
    assert_eq!(refused, Some(TargetError::Contradiction("a CA (`ca`, sslrootcert)")));
}

#[test]
fn a_dsn_means_the_same_as_a_url() {
    let target =
        parse(r"host=h port=5433 user=u password='it\'s = x' dbname=d sslmode=verify-ca sslrootcert='/a b.crt'")
            .expect("readable");
    assert_eq!(target.to_string(), "u@h:5433/d");
    assert_eq!(target.mode(), TlsMode::VerifyCa);
    assert_eq!(target.files().ca, Some("/a b.crt".into()));
    assert_eq!(target.config.get_password(), Some(&b"it's = x"[..]));
}

#[test]
fn a_password_may_hold_a_question_mark() {
    let target = parse("postgres://u:a?b=c@h/db?sslmode=require").expect("readable");
    assert_eq!(target.config.get_password(), Some(&b"a?b=c"[..]));
    assert_eq!(target.mode(), TlsMode::Require);
}

#[test]
fn nothing_shows_the_password() {
    for bad in [
        "postgres://u:hunter2@h:port/db",
        "postgres://u:hunter2@h/db?nonsense=hunter2",
        "host=h password=hunter2",
    ] {
        let error = parse(bad).expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    let target = parse("postgres://u:hunter2@h/db").expect("readable");
    assert!(!format!("{target} {target:?}").contains("hunter2"));
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(parse("postgres:///db").err(), Some(TargetError::NoHost));
    assert_eq!(parse("postgres://h/db").err(), Some(TargetError::NoUser));
    assert_eq!(
        parse("postgres://u@h/db?sslmode=allow").err(),
        Some(TargetError::Mode("allow".to_owned()))
    );
    assert_eq!(
        parse("postgres://u@h/db?sslcert=/c.pem").err(),
        Some(TargetError::HalfPair)
    );
    assert!(matches!(parse("orders"), Err(TargetError::Unreadable(_))));
}

#[test]
fn our_settings_come_after_those_of_the_url() {
    let target = parse("postgres://u@h/db?options=-c%20jit%3Don").expect("readable");
    let config = target.with(&Session::relay("orders"));
    let options = config.get_options().unwrap_or_default();
    assert!(options.starts_with("-c jit=on -c search_path=pg_catalog"), "{options}");
    assert!(options.rfind("jit=off") > options.find("jit=on"), "{options}");
    assert_eq!(config.get_application_name(), Some("twinbox/relay/orders"));
}

#[test]
fn several_hosts_mean_the_primary() {
    let target = parse("postgres://u@a,b:5433/db").expect("readable");
    assert_eq!(target.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    assert_eq!(target.patience(), CONNECT_TIMEOUT * 3);
}
