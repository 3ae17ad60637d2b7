use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bus::{Filter, SubscribeOptions};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::histogram::Histogram;
use super::link::Link;
use super::report::{Report, Times};
use super::settings::Settings;
use crate::exit::say;

/// A client that is to be connected: what it is called, its number, and what it subscribes to.
pub(super) type Wish = (&'static str, usize, Option<Filter>);

/// What became of opening many connections.
pub(super) struct Opened {
    pub(super) links: Vec<Link>,
    /// The least that any server grants.
    pub(super) receive_maximum: u16,
    pub(super) took: Duration,
    pub(super) times: Histogram,
    pub(super) failed: usize,
    pub(super) why: String,
}

/// Opens connections, so many at once, in order; those that fail are left out.
pub(super) async fn open(settings: &Settings, wishes: Vec<Wish>) -> Opened {
    let began = Instant::now();
    let gate = Arc::new(Semaphore::new(settings.opening));
    let shared = Arc::new((settings.clone(), Histogram::new(), AtomicUsize::new(0)));
    let all = wishes.len();
    let mut tasks = JoinSet::new();
    for (index, (kind, number, filter)) in wishes.into_iter().enumerate() {
        let (gate, shared) = (gate.clone(), shared.clone());
        tasks.spawn(async move {
            let _permit = gate.acquire().await;
            let (settings, times, done) = &*shared;
            let began = Instant::now();
            let options = SubscribeOptions { qos: settings.qos, ..SubscribeOptions::default() };
            let filter = filter.map(|filter| (filter, options));
            let opened = Link::open(&settings.dial, settings.options(kind, number), filter).await;
            times.record(began.elapsed());
            done.fetch_add(1, Relaxed);
            (index, opened)
        });
    }
    let mut links: Vec<_> = (0..all).map(|_| None).collect();
    let (mut receive_maximum, mut failed, mut why) = (u16::MAX, 0, String::new());
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    loop {
        tokio::select! {
            joined = tasks.join_next() => match joined {
                None => break,
                Some(Ok((index, Ok((link, granted))))) => {
                    receive_maximum = receive_maximum.min(granted.receive_maximum);
                    if let Some(place) = links.get_mut(index) {
                        *place = Some(link);
                    }
                }
                Some(Ok((_, Err(error)))) => {
                    failed += 1;
                    why = format!("{error:#}");
                }
                Some(Err(error)) => {
                    failed += 1;
                    why = error.to_string();
                }
            },
            _ = ticks.tick(), if !settings.quiet => {
                say(&format!("{:>5} s  {} of {all} connected", began.elapsed().as_secs(), shared.2.load(Relaxed)));
            }
        }
    }
    let took = began.elapsed();
    let times = std::mem::replace(
        &mut Arc::into_inner(shared).map_or_else(Histogram::new, |shared| shared.1),
        Histogram::new(),
    );
    Opened { links: links.into_iter().flatten().collect(), receive_maximum, took, times, failed, why }
}

/// Connections that do nothing but stay.
pub(super) async fn idle(settings: &Settings) -> anyhow::Result<Report> {
    let wishes = (0..settings.clients).map(|number| ("i", number, None)).collect();
    let opened = open(settings, wishes).await;
    let mut report = Report::new(settings);
    report.opened(&opened);
    anyhow::ensure!(!opened.links.is_empty(), "no connection could be opened: {}", opened.why);

    let (over, is_over) = watch::channel(());
    let mut tasks = JoinSet::new();
    for mut link in opened.links {
        let mut is_over = is_over.clone();
        tasks.spawn(async move {
            let ended = tokio::select! {
                ended = poll_fn(|cx| stay(&mut link, cx)) => Some(ended),
                _ = is_over.changed() => None,
            };
            match ended {
                Some(error) => Some(error.to_string()),
                None => {
                    link.leave().await;
                    None
                }
            }
        });
    }
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    let end = sleep(settings.span);
    tokio::pin!(end);
    let all = tasks.len();
    loop {
        tokio::select! {
            () = &mut end => break,
            Some(joined) = tasks.join_next() => {
                report.ended += 1;
                report.why = joined.ok().flatten().unwrap_or_default();
            }
            _ = ticks.tick(), if !settings.quiet => {
                say(&format!("{:>5} s  {} of {all} connections idle", began.elapsed().as_secs(), tasks.len()));
            }
        }
    }
    report.lasted(began.elapsed());
    drop(is_over);
    let _ = over.send(());
    while tasks.join_next().await.is_some() {}
    Ok(report)
}

fn stay(link: &mut Link, cx: &mut Context<'_>) -> Poll<io::Error> {
    Link::with_scratch(|scratch| {
        loop {
            let more = match link.read(cx, scratch, |_, _| Ok(())) {
                Ok(more) => more,
                Err(error) => return Poll::Ready(error),
            };
            link.ping(cx, &mut scratch.out);
            if (!scratch.out.is_empty() || !link.is_sent())
                && let Err(error) = link.write(cx, &scratch.out)
            {
                return Poll::Ready(error);
            }
            scratch.out.clear();
            if !more {
                return Poll::Pending;
            }
        }
    })
}

/// Connects and leaves, again and again.
pub(super) async fn connect(settings: &Settings) -> anyhow::Result<Report> {
    let shared = Arc::new((settings.clone(), Histogram::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
    let began = Instant::now();
    let until = began + settings.span;
    let mut tasks = JoinSet::new();
    for number in 0..settings.clients {
        let shared = shared.clone();
        tasks.spawn(async move {
            let (settings, times, made, failed) = &*shared;
            let every = settings.rate.map(|rate| Duration::from_secs_f64(settings.clients as f64 / rate));
            let mut due = began + every.unwrap_or_default().mul_f64(number as f64 / settings.clients as f64);
            let mut why = None;
            while Instant::now() < until {
                let mut start = Instant::now();
                if let Some(every) = every {
                    if due >= until {
                        break;
                    }
                    sleep_until(due).await;
                    start = due;
                    due += every;
                }
                match Link::open(&settings.dial, settings.options("c", number), None).await {
                    Ok((link, _)) => {
                        times.record(start.elapsed());
                        made.fetch_add(1, Relaxed);
                        link.leave().await;
                    }
                    Err(error) => {
                        failed.fetch_add(1, Relaxed);
                        why = Some(format!("{error:#}"));
                        // A server that is gone is not asked as fast as possible.
                        sleep(Duration::from_millis(100)).await;
                    }
                }
            }
            why
        });
    }
    let mut report = Report::new(settings);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    let mut before = 0;
    loop {
        tokio::select! {
            joined = tasks.join_next() => match joined {
                None => break,
                Some(Ok(Some(why))) => report.why = why,
                Some(_) => {}
            },
            _ = ticks.tick(), if !settings.quiet => {
                let made = shared.2.load(Relaxed);
                let failed = shared.3.load(Relaxed);
                say(&format!("{:>5} s  {} connects/s, {failed} failed", began.elapsed().as_secs(), made - before));
                before = made;
            }
        }
    }
    report.lasted(began.elapsed());
    let (made, failed) = (shared.2.load(Relaxed), shared.3.load(Relaxed));
    report.connected = made as u64;
    report.ended = failed as u64;
    report.connect_seconds = report.seconds;
    report.connects_per_second = made as f64 / report.seconds;
    report.connect_time = Times::of(&shared.1.snapshot());
    Ok(report)
}
