use std::time::{Duration, Instant};

use bus::ProtocolError;

use crate::Config;

/// The heart-beats agreed on, in both directions [STOMP1.2 Heart-beating].
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    send: Option<Watch>,
    receive: Option<Watch>,
}

/// What is due when the time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// A newline must be sent to keep the promise.
    Beat,
    /// The peer has been silent for twice what it promised.
    Silence,
}

/// A client's `heart-beat` header: what it can send, what it wants to get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) sends: Duration,
    pub(crate) wants: Duration,
}

/// Looks only when its time has come whether something happened since, so that traffic costs no timer.
#[derive(Debug)]
struct Watch {
    span: Duration,
    last: Instant,
    due: Instant,
}

impl Wish {
    /// Reads `cx,cy`; a missing header is `0,0`.
    pub(crate) fn parse(header: Option<&str>) -> Result<Self, ProtocolError> {
        let Some(header) = header else { return Ok(Self::default()) };
        let millis = |text: &str| text.trim().parse::<u32>().ok().map(u64::from).map(Duration::from_millis);
        header
            .split_once(',')
            .and_then(|(sends, wants)| Some(Self { sends: millis(sends)?, wants: millis(wants)? }))
            .ok_or(ProtocolError::malformed("heart-beat is not two numbers of milliseconds"))
    }

    /// How often the client will be heard: never if either side does not want it, else the longer span.
    pub(crate) fn incoming(self, config: &Config) -> Option<Duration> {
        agree(self.sends, config.heartbeat_receive)
    }

    fn outgoing(self, config: &Config) -> Option<Duration> {
        agree(config.heartbeat_send, self.wants)
    }
}

impl Heartbeat {
    pub(crate) fn begin(wish: Wish, config: &Config, now: Instant) -> Self {
        Self {
            // a quarter of the span is left for the way
            send: wish.outgoing(config).map(|span| Watch::begin(span * 3 / 4, now)),
            // the standard asks for an error margin: one more span
            receive: wish.incoming(config).map(|span| Watch::begin(span * 2, now)),
        }
    }

    pub(crate) fn sent(&mut self, now: Instant) {
        if let Some(watch) = &mut self.send {
            watch.last = now;
        }
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        if let Some(watch) = &mut self.receive {
            watch.last = now;
        }
    }

    /// Begins the wait for the peer anew.
    pub(crate) fn restart_receive(&mut self, now: Instant) {
        if let Some(watch) = &mut self.receive {
            *watch = Watch::begin(watch.span, now);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        [&self.send, &self.receive].into_iter().flatten().map(|watch| watch.due).min()
    }

    pub(crate) fn expire(&mut self, now: Instant) -> Due {
        if self.receive.as_mut().is_some_and(|watch| watch.expire(now)) {
            return Due::Silence;
        }
        match &mut self.send {
            Some(watch) => {
                if !watch.expire(now) {
                    return Due::Nothing;
                }
                *watch = Watch::begin(watch.span, now);
                Due::Beat
            }
            None => Due::Nothing,
        }
    }
}

impl Watch {
    fn begin(span: Duration, now: Instant) -> Self {
        Self { span, last: now, due: now + span }
    }

    /// Whether nothing happened for the span; else it looks again a span after what happened last.
    fn expire(&mut self, now: Instant) -> bool {
        if now < self.due {
            return false;
        }
        self.due = self.last + self.span;
        now >= self.due
    }
}

fn agree(one: Duration, other: Duration) -> Option<Duration> {
    (!one.is_zero() && !other.is_zero()).then(|| one.max(other))
}

/// The server's own `heart-beat` header.
pub(crate) fn header(config: &Config) -> String {
    format!("{},{}", config.heartbeat_send.as_millis(), config.heartbeat_receive.as_millis())
}
