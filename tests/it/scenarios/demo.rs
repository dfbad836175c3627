//! Must show 1: the demo's story has a good end, counted from the data.

use crate::support::live;
use crate::support::relay::twinbox;

#[test]
fn the_demo_ends_well() {
    let Some(url) = live::postgres("the_demo_ends_well") else {
        return;
    };
    let output = twinbox(&[("DATABASE_URL", &url)])
        .args(["demo", "-o", "json"])
        .output()
        .expect("the binary is there");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{words}", output.status);
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(verdict["good"], true, "{verdict}\n{words}");
    assert_eq!(verdict["written"], verdict["published"], "{verdict}");
    for harm in ["lost", "phantom", "out_of_order"] {
        assert_eq!(verdict[harm], 0, "{harm}: {verdict}\n{words}");
    }
    assert_eq!(verdict["written"], verdict["effects"]["handled"], "{verdict}");
    for harm in ["lost", "phantom", "out_of_order", "twice"] {
        assert_eq!(verdict["effects"][harm], 0, "effects {harm}: {verdict}\n{words}");
    }
    for (what, told) in [
        ("a commit that came late", "stays open while the others commit"),
        ("a killed leader", "the standby leads"),
        ("a parked key", "order-5 is parked"),
        ("a killed consumer", "killed (SIGKILL) in the middle of an effect"),
        ("a refused event", "order-3 is parked"),
    ] {
        assert!(words.contains(told), "{what} is not in the story:\n{words}");
    }
}
