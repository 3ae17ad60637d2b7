use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use coap::{Block, Code, Message, OptionNumber, Token};

use super::q_link::{NON_MAX_RETRANSMIT, NON_RECEIVE_TIMEOUT, QLink, SET};
use super::request;
use crate::Device;

/// How long it waits between two downloads, and for an answer of which nothing has come.
const PAUSE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an observer hears nothing before it registers anew [RFC7641 3.3.1].
const RENEWAL: Duration = Duration::from_secs(60);

/// A CoAP client that gets a resource in Q-Blocks (RFC 9177), again and again, or observes it.
pub struct CoapQReader {
    link: QLink,
    topic: String,
    exponent: u8,
    observes: bool,
    /// The token by which the body comes.
    main: Token,
    tokens: HashSet<Token>,
    /// The body that is being put together.
    body: Option<Body>,
    /// How often in a row missing blocks were asked for.
    asked: u32,
    due: Option<Instant>,
    newest: Option<u32>,
    /// The bodies that arrived whole.
    pub received: Vec<Vec<u8>>,
    /// How many requests for missing blocks were sent.
    pub recoveries: usize,
}

#[derive(Debug)]
struct Body {
    tag: Vec<u8>,
    size: usize,
    exponent: u8,
    blocks: BTreeMap<u32, Vec<u8>>,
}

impl Body {
    fn of(message: &Message, block: Block) -> Self {
        let size = message.uint(OptionNumber::SIZE2).expect("every block has Size2") as usize;
        Self { tag: tag(message), size, exponent: block.exponent, blocks: BTreeMap::new() }
    }

    /// Takes a block; `false` if it was there before.
    fn take(&mut self, message: &Message, block: Block) -> bool {
        assert_eq!(
            (self.size, self.exponent),
            (Body::of(message, block).size, block.exponent),
            "{message:?}"
        );
        let (unit, start) = (16 << block.exponent, block.number as usize * (16 << block.exponent));
        assert_eq!(message.payload().len(), unit.min(self.size - start), "{message:?}");
        assert_eq!(block.more, start + unit < self.size, "{message:?}");
        self.blocks.insert(block.number, message.payload().to_vec()).is_none()
    }

    fn total(&self) -> u32 {
        self.size.div_ceil(16 << self.exponent) as u32
    }

    fn whole(&self) -> Option<Vec<u8>> {
        (self.blocks.len() as u32 == self.total()).then(|| self.blocks.values().flatten().copied().collect())
    }

    /// What is missing before a block.
    fn missing(&self, end: u32) -> Vec<u32> {
        (0..end.min(self.total())).filter(|number| !self.blocks.contains_key(number)).collect()
    }

    fn highest(&self) -> u32 {
        self.blocks.keys().next_back().copied().unwrap_or(0)
    }
}

fn tag(message: &Message) -> Vec<u8> {
    message.option(OptionNumber::ETAG).expect("every block has an ETag").to_vec()
}

impl CoapQReader {
    /// A client that gets `ps/{topic}` in blocks of `16 << exponent` bytes.
    pub fn download(seed: u64, topic: &str, exponent: u8) -> Self {
        Self {
            link: QLink::new(seed),
            topic: topic.to_owned(),
            exponent,
            observes: false,
            main: Token::default(),
            tokens: HashSet::new(),
            body: None,
            asked: 0,
            due: None,
            newest: None,
            received: Vec::new(),
            recoveries: 0,
        }
    }

    /// A client that observes it, so that every notification must arrive.
    pub fn observe(seed: u64, topic: &str, exponent: u8) -> Self {
        Self { observes: true, ..Self::download(seed, topic, exponent) }
    }

    fn get(&self, blocks: &[(u32, bool)]) -> Message {
        let mut get = request(Code::GET, &self.topic);
        if self.observes {
            get = get.with_query("qos=1");
        }
        let exponent = self.body.as_ref().map_or(self.exponent, |body| body.exponent);
        blocks.iter().fold(get, |get, (number, more)| {
            let block = Block { number: *number, more: *more, exponent };
            get.with_uint(OptionNumber::Q_BLOCK2, block.to_uint())
        })
    }

    /// Asks for the whole.
    fn begin(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        (self.body, self.newest) = (None, None);
        let mut get = self.get(&[(0, true)]);
        if self.observes {
            get = get.with_observe(0).with_token(self.main.clone());
        }
        self.main = self.link.ask(get, send);
        (self.asked, self.due) = (0, Some(now + PATIENCE));
        self.tokens = HashSet::from([self.main.clone()]);
    }

    fn ask_for(&mut self, missing: &[u32], send: &mut Vec<Vec<u8>>) {
        let blocks: Vec<(u32, bool)> =
            missing.iter().take(SET as usize).map(|number| (*number, false)).collect();
        let get = self.get(&blocks);
        let token = self.link.ask(get, send);
        self.tokens.insert(token);
        self.recoveries += 1;
    }

    fn heard(&mut self, message: &Message, now: Instant, send: &mut Vec<Vec<u8>>) {
        if message.code() == Code::UNAUTHORIZED {
            return self.begin(now, send); // with the Echo that came with it
        }
        if self.observes && message.token() == self.main && message.observe().is_some() {
            self.due = Some(now + RENEWAL).filter(|_| self.body.is_none()).or(self.due);
        }
        let Some(value) = message.uint(OptionNumber::Q_BLOCK2) else {
            assert!(message.code() != Code::BAD_OPTION, "{message:?}");
            if !self.observes {
                (self.body, self.due) = (None, Some(now + PAUSE));
            }
            return;
        };
        assert_eq!(message.code(), Code::CONTENT, "{message:?}");
        let block = Block::from_uint(value);
        // A server that has learnt where the client is may begin again with larger blocks.
        let fits = self
            .body
            .as_ref()
            .is_some_and(|body| body.tag == tag(message) && body.exponent == block.exponent);
        if let Some(sequence) = message.observe() {
            assert!(message.token() == self.main, "what was missing has no Observe");
            let is_newer = self.newest.is_none_or(|newest| sequence > newest);
            if !is_newer && !fits {
                return; // an older one, or one that is whole already
            }
            self.newest = Some(sequence.max(self.newest.unwrap_or(0)));
        }
        if !fits {
            let is_main = message.token() == self.main;
            match is_main {
                true => self.body = Some(Body::of(message, block)),
                false if self.observes => return,
                false => return self.begin(now, send), // another body has taken its place [RFC9177 4.4]
            }
        }
        let Some(body) = &mut self.body else { return };
        let before = body.highest();
        if !body.take(message, block) {
            return;
        }
        (self.asked, self.due) = (0, Some(now + NON_RECEIVE_TIMEOUT));
        if let Some(whole) = body.whole() {
            self.received.push(whole);
            self.body = None;
            self.due = Some(now + if self.observes { RENEWAL } else { PAUSE });
            if !self.observes {
                self.tokens.clear();
            }
            return;
        }
        let set = block.number / SET * SET;
        let (missing, next) = (body.missing(set), body.missing(set + SET));
        if set > before / SET * SET && !missing.is_empty() {
            self.ask_for(&missing, send);
        } else if next.is_empty() && body.highest() < set + SET {
            let go_on = self.get(&[(set + SET, true)]);
            let token = self.link.ask(go_on, send);
            self.tokens.insert(token);
        }
    }
}

impl Device for CoapQReader {
    fn start(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.begin(now, send);
    }

    fn receive(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>) {
        let tokens = &self.tokens;
        if let Some(message) = self.link.hear(bytes, |token| tokens.contains(token), send) {
            self.heard(&message, now, send);
        }
    }

    fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        if self.due.take_if(|due| *due <= now).is_none() {
            return;
        }
        let Some(body) = self.body.as_ref().filter(|_| self.asked < NON_MAX_RETRANSMIT) else {
            return self.begin(now, send);
        };
        let missing = body.missing((body.highest() / SET + 1) * SET);
        let missing = if missing.is_empty() { body.missing(u32::MAX) } else { missing };
        self.asked += 1;
        self.due = Some(now + NON_RECEIVE_TIMEOUT * (1 << self.asked));
        self.ask_for(&missing, send);
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }
}
