//! Grouping without a clock: futures are polled by hand.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use super::*;

type Asked = Arc<Mutex<Vec<(Vec<u32>, oneshot::Sender<()>)>>>;

/// A question that waits until the test lets it end, and answers what it was asked.
fn held() -> (Grouped<u32, Vec<u32>>, Asked) {
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let grouped = Grouped::new(move |items: Vec<u32>| -> Boxed<'static, Vec<u32>> {
        let (end, ended) = oneshot::channel();
        lock(&seen).push((items.clone(), end));
        Box::pin(async move {
            let _ = ended.await;
            items
        })
    });
    (grouped, asked)
}

fn poll<T>(future: &mut Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn asked(asked: &Asked) -> Vec<Vec<u32>> {
    lock(asked).iter().map(|(items, _)| items.clone()).collect()
}

fn end(asked: &Asked) {
    let (_, end) = lock(asked).remove(0);
    end.send(()).expect("somebody waits");
}

#[test]
fn who_asks_meanwhile_goes_together() {
    let (grouped, seen) = held();
    let mut first = pin!(grouped.ask(vec![1]));
    assert!(poll(&mut first).is_pending());
    assert_eq!(asked(&seen), [[1]], "nobody alone waits");
    let (mut second, mut third) = (pin!(grouped.ask(vec![2])), pin!(grouped.ask(vec![3])));
    assert!(poll(&mut second).is_pending() && poll(&mut third).is_pending());
    assert_eq!(asked(&seen).len(), 1, "one question at a time");
    end(&seen);
    assert!(poll(&mut third).is_pending());
    assert_eq!(asked(&seen), [[2, 3]]);
    end(&seen);
    assert_eq!(poll(&mut first), Poll::Ready(vec![1]));
    assert_eq!(poll(&mut third), Poll::Ready(vec![2, 3]));
    assert_eq!(poll(&mut second), Poll::Ready(vec![2, 3]));
}

#[test]
fn one_who_goes_away_takes_nobodys_answer_with_it() {
    let (grouped, seen) = held();
    let mut first = Box::pin(grouped.ask(vec![1]));
    assert!(poll(&mut first.as_mut()).is_pending());
    let mut second = Box::pin(grouped.ask(vec![2]));
    assert!(poll(&mut second.as_mut()).is_pending());
    // Both who drove a question go.
    drop(first);
    let mut third = pin!(grouped.ask(vec![3]));
    assert!(poll(&mut third).is_pending());
    drop(second);
    end(&seen);
    assert!(poll(&mut third).is_pending());
    end(&seen);
    assert_eq!(poll(&mut third), Poll::Ready(vec![2, 3]));
}

#[test]
fn a_question_has_a_bound() {
    let (grouped, seen) = held();
    let mut first = pin!(grouped.ask(vec![0]));
    assert!(poll(&mut first).is_pending());
    let (mut full, mut rest) = (pin!(grouped.ask(vec![1; ITEMS_MAX])), pin!(grouped.ask(vec![2])));
    assert!(poll(&mut full).is_pending() && poll(&mut rest).is_pending());
    for (most, last) in [(1, false), (ITEMS_MAX, false), (1, true)] {
        assert_eq!(asked(&seen)[0].len(), most);
        end(&seen);
        assert_eq!(poll(&mut rest).is_ready(), last);
    }
    assert_eq!(poll(&mut full), Poll::Ready(vec![1; ITEMS_MAX]));
}
