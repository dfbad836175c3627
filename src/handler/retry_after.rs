//! `Retry-After`: seconds, or a date.
//!
//! Promises: never longer than [`RETRY_AFTER_MAX`], whatever the other side writes; what is no such value counts as absent.
//! A date is taken relative to the reply's own `Date`, so that two clocks that disagree make no difference.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The longest that an application is left alone because it asked: what was mended is noticed within this time.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_mins(15);
const DATES: DateTimeParser = DateTimeParser::new();

/// What the reply asks for; none when it asks for nothing, or for now.
pub(super) fn asked(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has is long, not absent.
        text.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs)
    } else {
        let until = date(headers, RETRY_AFTER)?;
        let since = date(headers, DATE).unwrap_or(now);
        Duration::try_from(until.duration_since(since)).ok()?
    };
    (!wait.is_zero()).then_some(wait.min(RETRY_AFTER_MAX))
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<Timestamp> {
    DATES.parse_timestamp(headers.get(name)?.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    const NOW: &str = "2026-11-06T08:49:37Z";

    fn wait(text: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(text).expect("a value"));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).expect("a value"));
        }
        asked(&headers, NOW.parse().expect("a time"))
    }

    #[test]
    fn seconds_and_dates() {
        assert_eq!(wait("120", None), Some(Duration::from_secs(120)));
        assert_eq!(
            wait("Fri, 06 Nov 2026 08:51:37 GMT", None),
            Some(Duration::from_secs(120))
        );
        // By its own clock, which is a day behind ours.
        assert_eq!(
            wait("Thu, 05 Nov 2026 08:50:07 GMT", Some("Thu, 05 Nov 2026 08:49:37 GMT")),
            Some(Duration::from_secs(30))
        );
    }

    #[test]
    fn long_is_bounded_and_nonsense_is_absent() {
        for text in ["86400", "99999999999999999999999999", "Fri, 06 Nov 2099 08:51:37 GMT"] {
            assert_eq!(wait(text, None), Some(RETRY_AFTER_MAX), "{text}");
        }
        for text in [
            "0",
            "-5",
            "1.5",
            "",
            "soon",
            "Thu, 05 Nov 2026 08:50:07 GMT",
            "Fri, 99 Nov 2026 08:51:37 GMT",
        ] {
            assert_eq!(wait(text, None), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_passes_the_bound(text in "[ -~]{0,40}") {
            prop_assert!(wait(&text, None).is_none_or(|wait| wait <= RETRY_AFTER_MAX));
        }
    }
}
