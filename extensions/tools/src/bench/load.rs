use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::ensure;
use bus::Filter;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Scenario;
use super::flow::{Flow, Run};
use super::histogram::Snapshot;
use super::pace::Pace;
use super::publisher::{Publisher, Rhythm};
use super::report::{Report, Times};
use super::sessions::{Wish, open};
use super::settings::Settings;
use super::stamp::Faults;
use super::subscriber::Subscriber;
use crate::exit::say;

/// How many topics there are, and how many publishers and subscribers each has.
struct Shape {
    topics: usize,
    publishers: usize,
    subscribers: usize,
}

/// How long acknowledgements and messages under way are waited for, after the last that came.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long everything that is under way may take in the end.
const REST: Duration = Duration::from_secs(30);

pub(super) async fn run(settings: &Settings) -> anyhow::Result<Report> {
    let shape = Shape::of(settings);
    let mut report = Report::new(settings);
    let mut wishes: Vec<Wish> = Vec::new();
    for topic in 0..shape.topics {
        let filter = Filter::parse(&topic_name(settings, topic))?;
        for place in 0..shape.subscribers {
            wishes.push(("s", topic * shape.subscribers + place, Some(filter.clone())));
        }
    }
    wishes.extend((0..shape.topics * shape.publishers).map(|number| ("p", number, None)));
    let mut opened = open(settings, wishes).await;
    report.opened(&opened);
    ensure!(opened.failed == 0, "{} connections could not be opened: {}", opened.failed, opened.why);

    let run = Arc::new(Run::new());
    let pace = Arc::new(Pace::default());
    let flow = |topic| {
        let (name, subscribers) = (topic_name(settings, topic), shape.subscribers as u64);
        Arc::new(Flow::new(run.clone(), name, shape.publishers, subscribers, settings.window))
    };
    let flows: Vec<_> = (0..shape.topics).map(flow).collect();
    let publishers = opened.links.split_off(shape.topics * shape.subscribers);
    let (over, is_over) = watch::channel(Vec::new());

    let mut receiving = JoinSet::new();
    for (number, link) in opened.links.into_iter().enumerate() {
        let topic = number / shape.subscribers;
        let Some(flow) = flows.get(topic) else { continue };
        let first = (topic * shape.publishers) as u32;
        receiving.spawn(receive(Subscriber::new(link, flow.clone(), first), is_over.clone()));
    }
    let mut publishing = JoinSet::new();
    let total = publishers.len();
    for (number, link) in publishers.into_iter().enumerate() {
        let Some(flow) = flows.get(number / shape.publishers) else { continue };
        let rhythm = settings.rate.map(|rate| {
            let every = Duration::from_secs_f64(total as f64 / rate);
            Rhythm {
                pace: pace.clone(),
                every,
                next: run.time() + every.mul_f64(number as f64 / total as f64),
            }
        });
        let kind = (settings.options.version, settings.qos, settings.payload);
        let unfinished = settings.unfinished.min(opened.receive_maximum);
        let place = (number as u32, number % shape.publishers);
        let publisher = Publisher::new(link, flow.clone(), place, kind, unfinished, rhythm)?;
        publishing.spawn(async move { (number, publish(publisher).await) });
    }
    let keeper = {
        let pace = pace.clone();
        std::thread::spawn(move || pace.keep())
    };

    let spent = watch_run(settings, &run, &flows, &mut report, &mut publishing).await;
    run.stop.store(true, Relaxed);
    flows.iter().for_each(|flow| flow.wake());
    pace.end();
    let _ = keeper.join();
    report.lasted(spent);
    report.sent = run.sent.load(Relaxed);
    report.received = run.received.load(Relaxed);
    let sent = finish(publishing, total, &mut report).await;
    settle(&run, &flows).await;
    report.settled(&run, spent);
    drop(is_over);
    let _ = over.send(sent);
    let mut faults = Faults::default();
    while let Some(joined) = receiving.join_next().await {
        let (found, ended) = joined?;
        faults.add(found);
        report.end(ended);
    }
    report.faults(faults);
    report.latency = Times::of(&run.latency.snapshot());
    report.generator_lag = settings.rate.and_then(|_| Times::of(&run.lag.snapshot()));
    Ok(report)
}

impl Shape {
    fn of(settings: &Settings) -> Self {
        let clients = settings.clients;
        let (topics, publishers, subscribers) = match settings.scenario {
            Scenario::FanIn => (1, clients, 1),
            Scenario::FanOut => (1, 1, clients),
            _ => (clients, 1, 1),
        };
        Self { topics, publishers, subscribers }
    }
}

fn topic_name(settings: &Settings, topic: usize) -> String {
    format!("{}/{}/{topic}", settings.prefix, settings.options.client_id)
}

/// Publishes until told to stop; returns how many messages were sent, or why there are no more.
async fn publish(mut publisher: Publisher) -> Result<u64, String> {
    let sent = poll_fn(|cx| publisher.poll(cx)).await.map_err(|error| error.to_string())?;
    publisher.leave().await;
    Ok(sent)
}

/// Receives until it is over; returns what went wrong, and why the connection ended if it did.
async fn receive(
    mut subscriber: Subscriber,
    mut is_over: watch::Receiver<Vec<u64>>,
) -> (Faults, Option<String>) {
    let ended = tokio::select! {
        ended = poll_fn(|cx| subscriber.poll(cx)) => ended.err().map(|error| error.to_string()),
        _ = is_over.changed() => None,
    };
    if ended.is_some() {
        // What was sent is known only in the end.
        let _ = is_over.changed().await;
    }
    let faults = subscriber.faults(&is_over.borrow());
    if ended.is_none() {
        subscriber.leave().await;
    }
    (faults, ended)
}

type Publishing = JoinSet<(usize, Result<u64, String>)>;

/// Tells each second how it goes, until the time is over; returns how long that was.
async fn watch_run(
    settings: &Settings,
    run: &Run,
    flows: &[Arc<Flow>],
    report: &mut Report,
    publishing: &mut Publishing,
) -> Duration {
    let began = Instant::now();
    let end = sleep(settings.span);
    tokio::pin!(end);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    let (mut sent, mut received, mut latency) = (0, 0, Snapshot::default());
    let mut came = vec![0; flows.len()];
    loop {
        tokio::select! {
            () = &mut end => return began.elapsed(),
            Some(joined) = publishing.join_next(), if !publishing.is_empty() => {
                report.end(joined.ok().and_then(|(_, ended)| ended.err()));
            }
            _ = ticks.tick() => {
                for (flow, came) in flows.iter().zip(&mut came) {
                    *came = flow.forgive(*came);
                }
                let now = (run.sent.load(Relaxed), run.received.load(Relaxed));
                let all = run.latency.snapshot();
                let p99 = all.since(&latency).quantile(0.99);
                if !settings.quiet {
                    let p99 = p99.map_or_else(|| "-".to_owned(), |p99| format!("{p99:.1?}"));
                    say(&format!(
                        "{:>5} s  sent {:>9}/s  received {:>9}/s  p99 {p99}",
                        began.elapsed().as_secs(), now.0 - sent, now.1 - received,
                    ));
                }
                ((sent, received), latency) = (now, all);
            }
        }
    }
}

/// Waits for the last acknowledgements; returns how much each publisher sent.
async fn finish(mut publishing: Publishing, total: usize, report: &mut Report) -> Vec<u64> {
    let mut sent = vec![0; total];
    let all = async {
        while let Some(joined) = publishing.join_next().await {
            match joined {
                Ok((number, Ok(count))) => {
                    if let Some(place) = sent.get_mut(number) {
                        *place = count;
                    }
                }
                Ok((_, Err(why))) => report.end(Some(why)),
                Err(error) => report.end(Some(error.to_string())),
            }
        }
    };
    if tokio::time::timeout(REST, all).await.is_err() {
        report.end(Some("a publish was not acknowledged in the end".to_owned()));
    }
    sent
}

/// Waits for messages under way, until all are there or none comes any more.
async fn settle(run: &Run, flows: &[Arc<Flow>]) {
    let due: u64 = flows.iter().map(|flow| flow.due()).sum();
    let began = Instant::now();
    let (mut received, mut since) = (run.received.load(Relaxed), began);
    while received < due && since.elapsed() < PATIENCE && began.elapsed() < REST {
        sleep(Duration::from_millis(20)).await;
        let now = run.received.load(Relaxed);
        if now > received {
            (received, since) = (now, Instant::now());
        }
    }
}
