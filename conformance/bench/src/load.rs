use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::client::{connect, publish, subscribe};

/// Who publishes what to whom.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// How many topics there are.
    topics: usize,
    /// How many publishers each topic has.
    publishers: usize,
    /// How many subscribers each topic has.
    subscribers: usize,
    /// How many messages go out in one write.
    per_write: usize,
    payload: usize,
    qos: u8,
}

pub(crate) const SCENARIOS: [Scenario; 9] = [
    scenario("fan-in, 1 per write", 1, 50, 1, 1, 16, 0),
    scenario("fan-in, 16 per write", 1, 50, 1, 16, 16, 0),
    scenario("fan-in QoS 1", 1, 50, 1, 16, 16, 1),
    scenario("pairs, 1 per write", 50, 1, 1, 1, 16, 0),
    scenario("pairs, 16 per write", 50, 1, 1, 16, 16, 0),
    scenario("pairs, 4 KiB", 50, 1, 1, 16, 4_096, 0),
    scenario("pairs QoS 1", 50, 1, 1, 16, 16, 1),
    scenario("fan-out 1:100", 1, 1, 100, 16, 16, 0),
    scenario("fan-out 1:1000", 1, 1, 1_000, 16, 16, 0),
];

/// How many messages of a topic may be on their way to its subscribers: what is measured is a broker that keeps
/// up, not its queues.
const WINDOW: u64 = 1_024;

const fn scenario(
    name: &'static str,
    topics: usize,
    publishers: usize,
    subscribers: usize,
    per_write: usize,
    payload: usize,
    qos: u8,
) -> Scenario {
    Scenario { name, topics, publishers, subscribers, per_write, payload, qos }
}

/// The connections of a scenario, ready to go.
pub(crate) struct Load {
    scenario: &'static Scenario,
    topics: Vec<Topic>,
}

struct Topic {
    name: String,
    publishers: Vec<TcpStream>,
    subscribers: Vec<TcpStream>,
}

/// How far a topic is.
struct Progress {
    sent: AtomicU64,
    received: AtomicU64,
    subscribers: u64,
    moved: Notify,
    stop: AtomicBool,
}

impl Load {
    /// Connects everybody. `round` keeps the client ids of different rounds apart.
    pub(crate) async fn prepare(
        scenario: &'static Scenario,
        address: SocketAddr,
        round: usize,
    ) -> io::Result<Self> {
        let mut topics = Vec::with_capacity(scenario.topics);
        for topic in 0..scenario.topics {
            let name = format!("bench/{topic:04}");
            let mut subscribers = Vec::with_capacity(scenario.subscribers);
            for number in 0..scenario.subscribers {
                let mut stream = connect(address, &format!("s{round}-{topic}-{number}")).await?;
                subscribe(&mut stream, &name, scenario.qos).await?;
                subscribers.push(stream);
            }
            let mut publishers = Vec::with_capacity(scenario.publishers);
            for number in 0..scenario.publishers {
                publishers.push(connect(address, &format!("p{round}-{topic}-{number}")).await?);
            }
            topics.push(Topic { name, publishers, subscribers });
        }
        Ok(Self { scenario, topics })
    }

    /// Publishes for a while, then waits for the rest; returns how many messages were delivered. A lost message
    /// is an error.
    pub(crate) async fn run(&mut self, span: Duration) -> io::Result<u64> {
        let mut tasks = JoinSet::new();
        let mut all = Vec::new();
        for topic in self.topics.drain(..) {
            let progress = Arc::new(Progress {
                sent: AtomicU64::new(0),
                received: AtomicU64::new(0),
                subscribers: topic.subscribers.len() as u64,
                moved: Notify::new(),
                stop: AtomicBool::new(false),
            });
            let frame = publish(&topic.name, self.scenario.payload, self.scenario.qos);
            for subscriber in topic.subscribers {
                tasks.spawn(take(subscriber, frame.len(), self.scenario.qos, progress.clone()));
            }
            for publisher in topic.publishers {
                tasks.spawn(give(publisher, frame.clone(), self.scenario, progress.clone()));
            }
            all.push(progress);
        }
        tokio::time::sleep(span).await;
        for progress in &all {
            progress.stop.store(true, Relaxed);
            progress.moved.notify_waiters();
        }
        let rest = async {
            while let Some(done) = tasks.join_next().await {
                done.map_err(io::Error::other)??;
            }
            Ok(all.iter().map(|progress| progress.received.load(Relaxed)).sum())
        };
        let late = |_| io::Error::other("messages were lost, or the broker is stuck");
        tokio::time::timeout(Duration::from_secs(20), rest).await.map_err(late)?
    }
}

impl Progress {
    fn due(&self) -> u64 {
        self.sent.load(Relaxed) * self.subscribers
    }

    fn is_over(&self) -> bool {
        self.stop.load(Relaxed) && self.received.load(Relaxed) >= self.due()
    }

    /// Counts what a subscriber received; returns whether everything has arrived.
    fn receive(&self, messages: u64) -> bool {
        self.received.fetch_add(messages, Relaxed);
        self.moved.notify_waiters();
        self.is_over()
    }

    /// Waits until the subscribers have caught up; false once nothing more is to be sent.
    async fn may_send(&self) -> bool {
        loop {
            let moved = self.moved.notified();
            if self.stop.load(Relaxed) {
                return false;
            }
            if self.due() < self.received.load(Relaxed) + WINDOW * self.subscribers {
                return true;
            }
            moved.await;
        }
    }
}

async fn give(
    stream: TcpStream,
    frame: Vec<u8>,
    scenario: &'static Scenario,
    progress: Arc<Progress>,
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let many = if scenario.qos > 0 {
        with_ids(&frame, scenario.per_write)
    } else {
        frame.repeat(scenario.per_write)
    };
    let mut acks = vec![0; 4 * scenario.per_write];
    while progress.may_send().await {
        progress.sent.fetch_add(scenario.per_write as u64, Relaxed);
        writer.write_all(&many).await?;
        if scenario.qos > 0 {
            reader.read_exact(&mut acks).await?;
        }
    }
    // The connection stays until everything has arrived: a broker may drop what a lost client sent.
    while !progress.is_over() {
        let moved = progress.moved.notified();
        if !progress.is_over() {
            let _ = tokio::time::timeout(Duration::from_millis(10), moved).await;
        }
    }
    Ok(())
}

/// Frames of QoS 1 with packet ids from 1 on.
fn with_ids(frame: &[u8], count: usize) -> Vec<u8> {
    let mut frames = Vec::with_capacity(frame.len() * count);
    let at = frame.windows(2).position(|pair| pair == [0, 1]).unwrap_or(0);
    for id in 1..=count as u16 {
        let start = frames.len();
        frames.extend_from_slice(frame);
        frames[start + at..start + at + 2].copy_from_slice(&id.to_be_bytes());
    }
    frames
}

async fn take(stream: TcpStream, frame: usize, qos: u8, progress: Arc<Progress>) -> io::Result<()> {
    let (mut reader, mut writer): (OwnedReadHalf, OwnedWriteHalf) = stream.into_split();
    let mut buffer = vec![0; 256 * 1024];
    let mut held = 0;
    loop {
        let read =
            match tokio::time::timeout(Duration::from_millis(10), reader.read(&mut buffer[held..])).await {
                Err(_) if progress.is_over() => return Ok(()),
                Err(_) => continue,
                Ok(read) => read?,
            };
        if read == 0 {
            return Err(io::Error::other("the broker closed a subscriber"));
        }
        held += read;
        let messages = held / frame;
        if qos > 0 {
            let id_at = frame_id(&buffer, frame);
            let ack = |message: &[u8]| [0x40, 2, message[id_at], message[id_at + 1]];
            let acks: Vec<u8> = buffer[..messages * frame].chunks(frame).flat_map(ack).collect();
            writer.write_all(&acks).await?;
        }
        buffer.copy_within(messages * frame..held, 0);
        held -= messages * frame;
        if progress.receive(messages as u64) {
            return Ok(());
        }
    }
}

/// Where the packet id stands in a PUBLISH whose remaining length takes one or two bytes.
fn frame_id(buffer: &[u8], frame: usize) -> usize {
    let head = if frame > 129 { 3 } else { 2 };
    head + 2 + usize::from(buffer[head + 1])
}
