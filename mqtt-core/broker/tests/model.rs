//! A broker and a simple model of it are told the same, at random, and must say the same.

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use broker::Opened;
use bus::{
    Ack, Connect, Delivery, DeliveryId, Disconnect, Event, Filter, Publish, Qos, Reason, Reply,
    RetainHandling, SessionExpiry, SubscribeOptions, Unsubscribe, Will,
};
use common::{Guest, World, now, peer, text};

const CLIENTS: [&str; 4] = ["ann", "bob", "cy", "dee"];
const TOPICS: [&str; 5] = ["a", "b", "a/b", "b/b", "$x/b"];
const FILTERS: [&str; 8] = ["#", "+", "a/#", "a", "+/b", "b", "$x/+", "a/b"];

/// What the model knows of a message.
#[derive(Clone, Debug)]
struct Sent {
    topic: &'static str,
    payload: String,
    qos: Qos,
    retain: bool,
    expires: Option<Instant>,
    origin: &'static str,
}

/// One message owed to one session.
#[derive(Clone, Debug)]
struct Owed {
    sent: Sent,
    ids: Vec<u32>,
    qos: Qos,
    retain: bool,
}

/// A delivery as it is compared: topic, payload, subscriptions, guarantee, retain, duplicate.
type Seen = (String, String, Vec<u32>, Qos, bool, bool);

#[derive(Default)]
struct Client {
    connected: bool,
    expiry: SessionExpiry,
    subscriptions: BTreeMap<&'static str, (u32, SubscribeOptions)>,
    will: Option<(Sent, Duration)>,
    received: BTreeSet<u16>,
    replay: Vec<Owed>,
    live: Vec<Owed>,
    /// What was handed over, and whether the client has said that it has it.
    inflight: Vec<(DeliveryId, Owed, bool)>,
    /// How many of these, from the back, this connection was handed.
    resend: usize,
}

#[derive(Default)]
struct Model {
    sessions: BTreeMap<&'static str, Client>,
    retained: BTreeMap<&'static str, Sent>,
    /// By time, then in order: whose will (or, if true, session) is due.
    timers: BTreeMap<(Instant, u64), (&'static str, bool)>,
    number: u64,
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn qos(&mut self) -> Qos {
        self.of(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
    }
}

impl Model {
    /// Returns how many sessions matched. `by` is the session that publishes, if one does.
    fn route(&mut self, sent: &Sent, by: Option<&'static str>) -> usize {
        if sent.retain && sent.payload.is_empty() {
            self.retained.remove(sent.topic);
        } else if sent.retain {
            self.retained.insert(sent.topic, sent.clone());
        }
        let mut matched = 0;
        for (id, client) in &mut self.sessions {
            let fits = |filter: &str, options: &SubscribeOptions| {
                Filter::parse(filter).unwrap().matches(sent.topic) && !(options.no_local && by == Some(*id))
            };
            let hits = client.subscriptions.iter().filter(|(filter, (_, options))| fits(filter, options));
            let hits: Vec<_> = hits.map(|(_, hit)| *hit).collect();
            if hits.is_empty() {
                continue;
            }
            matched += 1;
            let best = hits.iter().map(|(_, options)| options.qos).max().unwrap();
            let mut ids: Vec<_> = hits.iter().map(|(id, _)| *id).collect();
            ids.sort_unstable();
            let retain = sent.retain && hits.iter().any(|(_, options)| options.retain_as_published);
            let owed = Owed { sent: sent.clone(), ids, qos: best.min(sent.qos), retain };
            if client.connected || owed.qos > Qos::AtMostOnce {
                client.live.push(owed);
            }
        }
        matched
    }

    fn connect(
        &mut self,
        id: &'static str,
        clean: bool,
        expiry: SessionExpiry,
        will: Option<(Sent, Duration)>,
    ) -> bool {
        self.timers.retain(|_, (whose, _)| *whose != id);
        let old = self.sessions.remove(id);
        let mut old_will = None;
        let present = old.is_some() && !clean;
        let mut client = Client::default();
        if let Some(mut old) = old {
            old_will = old.will.take().filter(|(_, delay)| clean || delay.is_zero());
            if !clean {
                client = old;
            }
        }
        client.resend = client.inflight.len();
        (client.connected, client.expiry, client.will) = (true, expiry, will);
        self.sessions.insert(id, client);
        if let Some((will, _)) = old_will {
            self.route(&will, None);
        }
        present
    }

    fn detach(&mut self, id: &'static str, publish_will: bool, at: Instant) {
        let client = self.sessions.get_mut(id).unwrap();
        client.connected = false;
        client.replay.retain(|owed| owed.qos > Qos::AtMostOnce);
        client.live.retain(|owed| owed.qos > Qos::AtMostOnce);
        client.will = client.will.take().filter(|_| publish_will);
        let expiry = match client.expiry {
            SessionExpiry::AtOnce => Duration::ZERO,
            SessionExpiry::After(span) => span,
            SessionExpiry::Never => Duration::from_secs(7 * 86_400),
        };
        let delay = client.will.as_ref().map(|(_, delay)| (*delay).min(expiry));
        for (delay, end) in [(delay, false), (Some(expiry), true)] {
            match delay {
                None => {}
                Some(delay) if delay.is_zero() => self.due(id, end),
                Some(delay) => {
                    self.number += 1;
                    self.timers.insert((at + delay, self.number), (id, end));
                }
            }
        }
    }

    fn due(&mut self, id: &'static str, end: bool) {
        let Some(client) = self.sessions.get_mut(id) else { return };
        let will = client.will.take();
        if end {
            self.sessions.remove(id);
        }
        if let Some((will, _)) = will {
            self.route(&will, None);
        }
    }

    fn tick(&mut self, at: Instant) {
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= at) {
            let (id, end) = entry.remove();
            self.due(id, end);
        }
    }

    fn subscribe(
        &mut self,
        id: &'static str,
        filter: &'static str,
        number: u32,
        options: SubscribeOptions,
        at: Instant,
    ) {
        let client = self.sessions.get_mut(id).unwrap();
        let fresh = client.subscriptions.insert(filter, (number, options)).is_none();
        let wanted = match options.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::IfNew => fresh,
            RetainHandling::Never => false,
        };
        let pattern = Filter::parse(filter).unwrap();
        for sent in self.retained.values().filter(|sent| wanted && pattern.matches(sent.topic)) {
            if is_over(sent, at) || (options.no_local && sent.origin == id) {
                continue;
            }
            let qos = options.qos.min(sent.qos);
            client.replay.push(Owed { sent: sent.clone(), ids: vec![number], qos, retain: true });
        }
    }

    /// Compares what was pulled, and takes note of what was handed over.
    fn pull(&mut self, id: &'static str, events: Vec<Event>, at: Instant) {
        let client = self.sessions.get_mut(id).unwrap();
        let mut events = events.into_iter();
        let again = client.inflight.len() - client.resend;
        for (delivery, owed, received) in client.inflight.iter().skip(again) {
            match events.next() {
                Some(Event::Release(released)) => assert!(*received && released == *delivery),
                Some(Event::Deliver(seen)) => {
                    assert!(!received && seen.id == Some(*delivery));
                    assert_eq!(see(&seen), expect(owed, true));
                }
                other => panic!("{other:?} instead of {owed:?}"),
            }
        }
        client.resend = 0;
        let fresh = |owed: &Owed| !is_over(&owed.sent, at);
        let mut replay: Vec<Owed> = std::mem::take(&mut client.replay).into_iter().filter(fresh).collect();
        let live: Vec<Owed> = std::mem::take(&mut client.live).into_iter().filter(fresh).collect();
        let mut live = live.into_iter();
        for event in events {
            let Event::Deliver(delivery) = event else { panic!("{event:?}") };
            // Retained messages come first, in any order.
            let place = replay.iter().position(|owed| see(&delivery) == expect(owed, false));
            let owed = match place {
                Some(place) => replay.remove(place),
                None if replay.is_empty() => live.next().unwrap_or_else(|| panic!("not owed: {delivery:?}")),
                None => panic!("{delivery:?} came before {replay:?}"),
            };
            assert_eq!(see(&delivery), expect(&owed, false));
            assert_eq!(delivery.id.is_some(), owed.qos > Qos::AtMostOnce);
            if let Some(id) = delivery.id {
                assert!(client.inflight.iter().all(|(used, ..)| *used != id), "{id:?} is in use");
                client.inflight.push((id, owed, false));
            }
        }
        assert!(replay.is_empty() && live.next().is_none(), "something owed did not come");
    }
}

fn is_over(sent: &Sent, at: Instant) -> bool {
    sent.expires.is_some_and(|expires| expires <= at)
}

fn see(delivery: &Delivery) -> Seen {
    let mut ids: Vec<u32> = delivery.matched.as_slice().iter().map(|id| id.0).collect();
    ids.sort_unstable();
    let topic = delivery.message.topic.as_str().to_owned();
    (topic, text(delivery), ids, delivery.qos, delivery.retain, delivery.duplicate)
}

fn expect(owed: &Owed, duplicate: bool) -> Seen {
    let Owed { sent, ids, qos, retain } = owed;
    (sent.topic.to_owned(), sent.payload.clone(), ids.clone(), *qos, *retain, duplicate)
}

struct Game {
    dice: Dice,
    world: World,
    model: Model,
    guests: HashMap<&'static str, Guest>,
    sent: u32,
}

impl Game {
    fn new(seed: u64) -> Self {
        let (world, model) = (World::new(), Model::default());
        Self { dice: Dice(seed | 1), world, model, guests: HashMap::new(), sent: 0 }
    }

    fn step(&mut self) {
        let id = self.dice.of(&CLIENTS);
        match self.dice.below(16) {
            0..2 => self.connect(id),
            2 => self.leave(id),
            3 => self.vanish(id),
            4..7 => self.subscribe(id),
            7 => self.unsubscribe(id),
            8..12 => self.publish(id),
            12..15 => self.read(id),
            _ => {
                let span = Duration::from_secs(1 + self.dice.below(9) as u64);
                self.world.advance(span);
                self.model.tick(self.world.now);
            }
        }
        let (stats, sessions) = (self.world.broker.stats(), self.model.sessions.values());
        let connected = sessions.clone().filter(|client| client.connected).count();
        let subscriptions: usize = sessions.clone().map(|client| client.subscriptions.len()).sum();
        let expected = (connected as u64, sessions.len() as u64, subscriptions as u64);
        assert_eq!((stats.connections, stats.sessions, stats.subscriptions), expected);
    }

    fn make(&mut self, id: &'static str) -> (Publish, Sent) {
        self.sent += 1;
        let payload = if self.dice.once_in(12) { String::new() } else { format!("{id} {}", self.sent) };
        let (topic, qos) = (self.dice.of(&TOPICS), self.dice.qos());
        let mut publish = harness::publish(topic, &payload, qos);
        publish.retain = self.dice.once_in(3);
        publish.expiry = self.dice.once_in(3).then_some(Duration::from_secs(6));
        let expires = publish.expiry.map(|expiry| self.world.now + expiry);
        let sent = Sent { topic, payload, qos, retain: publish.retain, expires, origin: id };
        (publish, sent)
    }

    fn connect(&mut self, id: &'static str) {
        let clean_start = self.dice.once_in(4);
        let span = Duration::from_secs(10);
        let choices = [SessionExpiry::AtOnce, SessionExpiry::After(span), SessionExpiry::Never];
        let session_expiry = self.dice.of(&choices);
        let will = self.dice.once_in(2).then(|| {
            let (mut publish, mut sent) = self.make(id);
            // It expires so long after it is published, which the model does not follow.
            (publish.expiry, sent.expires, publish.once) = (None, None, None);
            let delay = Duration::from_secs(self.dice.of(&[0, 4, 20]));
            (Will { publish, delay }, (sent, delay))
        });
        let (will, expected_will) = will.unzip();
        let connect =
            Connect { clean_start, session_expiry, will, receive_maximum: 1_000, ..harness::connect(id) };
        let opened = now(self.world.broker.connect(connect, peer(), self.world.now));
        let Ok(Opened::Session(session, connected)) = opened else { panic!("not let in") };
        let present = self.model.connect(id, clean_start, session_expiry, expected_will);
        assert_eq!(connected.session_present, present);
        let guest = Guest { session: *session, connected: *connected };
        if let Some(mut old) = self.guests.insert(id, guest) {
            let events = self.world.pull(&mut old, 10);
            assert!(matches!(events[..], [Event::Close(Reason::TakenOver)]), "{events:?}");
            let (publish, _) = self.make(id);
            assert_eq!(self.world.send(&mut old, publish), Err(Reason::TakenOver));
            old.session.close(Reason::TakenOver, self.world.now);
        }
    }

    fn leave(&mut self, id: &'static str) {
        let Some(mut guest) = self.guests.remove(id) else { return };
        let choices =
            [None, None, Some(SessionExpiry::AtOnce), Some(SessionExpiry::After(Duration::from_secs(3)))];
        let disconnect =
            Disconnect { publish_will: self.dice.once_in(2), session_expiry: self.dice.of(&choices) };
        guest.session.leave(disconnect, self.world.now).unwrap();
        if let Some(expiry) = disconnect.session_expiry {
            self.model.sessions.get_mut(id).unwrap().expiry = expiry;
        }
        self.model.detach(id, disconnect.publish_will, self.world.now);
        guest.session.close(Reason::Disconnected, self.world.now);
    }

    fn vanish(&mut self, id: &'static str) {
        if let Some(guest) = self.guests.remove(id) {
            guest.session.close(Reason::PeerClosed, self.world.now);
            self.model.detach(id, true, self.world.now);
        }
    }

    fn subscribe(&mut self, id: &'static str) {
        let Some(guest) = self.guests.get_mut(id) else { return };
        let (filter, number) = (self.dice.of(&FILTERS), self.dice.below(5) as u32);
        let handling = [RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never];
        let options = SubscribeOptions {
            qos: self.dice.qos(),
            no_local: self.dice.once_in(3),
            retain_as_published: self.dice.once_in(2),
            retain_handling: self.dice.of(&handling),
        };
        assert_eq!(self.world.subscribe_with(guest, number, filter, options), Ok(options.qos));
        self.model.subscribe(id, filter, number, options, self.world.now);
    }

    fn unsubscribe(&mut self, id: &'static str) {
        let Some(guest) = self.guests.get_mut(id) else { return };
        let filter = self.dice.of(&FILTERS);
        let wish = Unsubscribe::Filter(Filter::parse(filter).unwrap());
        let Ok(Reply::Unsubscribed(results)) = guest.session.unsubscribe(vec![wish]) else {
            panic!("refused")
        };
        let gone = self.model.sessions.get_mut(id).unwrap().subscriptions.remove(filter);
        assert_eq!(results, [gone.map(|_| ()).ok_or(Reason::NoSubscription)]);
    }

    fn publish(&mut self, id: &'static str) {
        let (mut publish, sent) = self.make(id);
        let once = 1 + self.dice.below(3) as u16;
        let release = self.dice.once_in(2);
        let Some(guest) = self.guests.get_mut(id) else { return };
        publish.once = publish.once.map(|_| once);
        let exactly_once = publish.once.is_some();
        let matched = self.world.send(guest, publish);
        let known = exactly_once && !self.model.sessions.get_mut(id).unwrap().received.insert(once);
        assert_eq!(matched, Ok(if known { 1 } else { self.model.route(&sent, Some(id)) }));
        if release {
            let Ok(Reply::Released { known }) = guest.session.release(once) else { panic!("refused") };
            assert_eq!(known, self.model.sessions.get_mut(id).unwrap().received.remove(&once));
        }
    }

    fn read(&mut self, id: &'static str) {
        let Some(guest) = self.guests.get_mut(id) else { return };
        let events = self.world.events(guest);
        self.model.pull(id, events, self.world.now);
        let dice = &mut self.dice;
        self.model.sessions.get_mut(id).unwrap().inflight.retain_mut(|(delivery, owed, received)| {
            if owed.qos == Qos::ExactlyOnce && !*received {
                *received = dice.once_in(2);
                if *received {
                    guest.session.ack(*delivery, Ack::Received);
                }
                return true;
            }
            let complete = dice.once_in(2);
            if complete {
                guest.session.ack(*delivery, Ack::Complete);
            }
            !complete
        });
    }
}

#[test]
fn the_broker_does_what_a_simple_model_of_it_does() {
    for seed in 1..=60_u64 {
        let mut game = Game::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for step in 0..1_500 {
            let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| game.step()));
            assert!(played.is_ok(), "this was step {step} of seed {seed}");
        }
    }
}
