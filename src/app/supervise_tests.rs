//! The life of a process, with engines that do as they are told.

use std::time::Duration;

use tokio::sync::mpsc;

use super::*;

struct Stage {
    crew: Crew,
    drain: Drain,
    signals: mpsc::Sender<Signal>,
    heard: mpsc::Receiver<Signal>,
}

fn stage() -> Stage {
    let drain = Drain::new(Vec::new());
    let (signals, heard) = mpsc::channel(4);
    let crew = Crew {
        engines: Vec::new(),
        services: vec![task("admin", std::future::pending())],
        drain: drain.clone(),
        deadline: Duration::from_secs(60),
        turns: crate::telemetry::Pulse::default().running(now().into_std()),
        check: Box::new(|| {}),
    };
    Stage {
        crew,
        drain,
        signals,
        heard,
    }
}

fn task(name: &str, run: impl Future<Output = Outcome> + Send + 'static) -> Task {
    Task {
        name: name.to_owned(),
        run: Box::pin(run),
    }
}

impl Stage {
    /// An engine that drains when asked.
    fn obedient(mut self, name: &str) -> Self {
        let mut asked = self.drain.engines();
        let run = async move {
            let _ = asked.wait_for(|asked| *asked).await;
            Outcome::Drained
        };
        self.crew.engines.push(task(name, run));
        self
    }

    fn engine(mut self, name: &str, run: impl Future<Output = Outcome> + Send + 'static) -> Self {
        self.crew.engines.push(task(name, run));
        self
    }

    fn service(mut self, run: impl Future<Output = Outcome> + Send + 'static) -> Self {
        self.crew.services = vec![task("admin", run)];
        self
    }

    fn signal(self, signal: Signal) -> Self {
        self.signals.try_send(signal).unwrap();
        self
    }

    async fn run(self) -> Ending {
        let life = supervise(self.crew, self.heard);
        let ending = tokio::time::timeout(Duration::from_secs(30), life).await;
        ending.expect("a process whose engines are told to end does not live on")
    }
}

fn halted(sentence: &str) -> Outcome {
    Outcome::Halted {
        sentence: sentence.to_owned(),
    }
}

#[tokio::test]
async fn a_stop_drains_all() {
    let stage = stage().obedient("orders").obedient("audit").signal(Signal::Stop);
    let drain = stage.drain.clone();
    assert_eq!(stage.run().await, Ending::Drained);
    assert_eq!(drain.phase(), crate::app::drain::Phase::Drained);
}

#[tokio::test]
async fn a_second_stop_ends_at_once() {
    let stage = stage().engine("orders", std::future::pending());
    let stage = stage.signal(Signal::Stop).signal(Signal::Stop);
    assert_eq!(stage.run().await, Ending::Interrupted, "long before the deadline");
}

#[tokio::test]
async fn the_deadline_bounds_a_drain() {
    let mut stage = stage().obedient("audit").engine("orders", std::future::pending());
    stage.crew.deadline = Duration::from_millis(20);
    let started = now();
    let ending = stage.signal(Signal::Stop).run().await;
    let left = vec!["orders".to_owned()];
    assert_eq!(ending, Ending::Late { left });
    assert!(started.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn an_engine_that_knows_its_deadline_is_late_and_no_failure() {
    let stage = stage().obedient("audit");
    let mut asked = stage.drain.engines();
    let late = async move {
        let _ = asked.wait_for(|asked| *asked).await;
        Outcome::DeadlinePassed
    };
    let ending = stage.engine("orders", late).signal(Signal::Stop).run().await;
    let left = vec!["orders".to_owned()];
    assert_eq!(ending, Ending::Late { left });
}

#[tokio::test]
async fn a_halt_lets_the_others_drain_first() {
    let stage = stage().engine("orders", async { halted("type this") });
    let mut asked = stage.drain.engines();
    let (done, mut drained) = mpsc::channel(1);
    let slow = async move {
        let _ = asked.wait_for(|asked| *asked).await;
        // Its end comes after the other's: the halt is what asked.
        tokio::task::yield_now().await;
        let _ = done.send(()).await;
        Outcome::Drained
    };
    let ending = stage.engine("audit", slow).run().await;
    assert_eq!(ending, Ending::Failed(vec!["orders halted: type this".into()]));
    assert_eq!(drained.try_recv(), Ok(()));
}

/// RL4: a critical task's end is the end of the process.
#[tokio::test]
async fn no_husk_lives_on() {
    let panics = stage().obedient("audit").engine("orders", async { panic!("planted") });
    let Ending::Failed(sentences) = panics.run().await else {
        panic!("a panic is a failure");
    };
    assert!(sentences[0].starts_with("orders panicked"), "{sentences:?}");

    let ends = stage().engine("orders", async { Outcome::Drained });
    assert!(matches!(ends.run().await, Ending::Failed(_)));

    let port_gone = stage().obedient("orders").service(async { halted("no port") });
    assert_eq!(
        port_gone.run().await,
        Ending::Failed(vec!["admin ended: no port".into()])
    );
}

#[tokio::test]
async fn a_question_is_answered_and_changes_nothing() {
    let mut stage = stage().obedient("orders");
    let (asked, mut answers) = mpsc::channel(1);
    stage.crew.check = Box::new(move || asked.try_send(()).unwrap());
    let ending = stage.signal(Signal::Check).signal(Signal::Stop).run().await;
    assert_eq!(ending, Ending::Drained);
    assert_eq!(answers.try_recv(), Ok(()));
}
