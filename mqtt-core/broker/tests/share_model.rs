//! Members of share groups come and go at random: no message may be lost, and none that is done may come again.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use broker::{Config, Hooks, ShareStrategy};
use bus::{Ack, Chance, Connect, Delivery, Event, Qos, Reason};
use common::{Guest, World, durable, text};

const MEMBERS: [&str; 3] = ["a", "b", "c"];
const STRATEGIES: [ShareStrategy; 5] = [
    ShareStrategy::RoundRobin,
    ShareStrategy::Random,
    ShareStrategy::Sticky,
    ShareStrategy::HashClientId,
    ShareStrategy::HashTopic,
];

struct Game {
    chance: Chance,
    world: World,
    here: BTreeMap<&'static str, Guest>,
    sent: BTreeSet<String>,
    done: BTreeSet<String>,
    /// Who got an exactly-once message: nobody else may.
    begun: BTreeMap<String, &'static str>,
}

impl Game {
    fn new(seed: u64) -> Self {
        let share_strategy = STRATEGIES[seed as usize % STRATEGIES.len()];
        let config = Config { share_strategy, share_grace: Duration::from_secs(5), ..Config::default() };
        let world = World::with(config, Hooks::open());
        let chance = Chance::new(seed);
        let (sent, done) = (BTreeSet::new(), BTreeSet::new());
        let mut game = Self { chance, world, here: BTreeMap::new(), sent, done, begun: BTreeMap::new() };
        for member in MEMBERS {
            game.come(member);
            let guest = game.here.get_mut(member).unwrap();
            game.world.subscribe(guest, 1, "$share/g/#", Qos::ExactlyOnce).unwrap();
        }
        game
    }

    fn come(&mut self, member: &'static str) {
        let connect = Connect { receive_maximum: 3, ..durable(member) };
        if let Some(old) = self.here.insert(member, self.world.open(connect).unwrap()) {
            old.session.close(Reason::TakenOver, self.world.now);
        }
    }

    fn step(&mut self, writer: &mut Guest) {
        let member = MEMBERS[self.chance.below(MEMBERS.len())];
        match self.chance.below(10) {
            0 => self.come(member),
            1 | 2 => {
                if let Some(guest) = self.here.remove(member) {
                    guest.session.close(Reason::PeerClosed, self.world.now);
                }
            }
            3..6 => {
                let payload = format!("{}", self.sent.len());
                let qos = [Qos::AtLeastOnce, Qos::ExactlyOnce][self.chance.below(2)];
                let topic = format!("t/{}", self.chance.below(4));
                assert_eq!(self.world.publish(writer, &topic, &payload, qos), Ok(1));
                let _ = writer.session.release(1);
                self.sent.insert(payload);
            }
            6 => self.world.advance(Duration::from_secs(1 + self.chance.below(8) as u64)),
            _ => drop(self.read(member, 2)),
        }
    }

    /// Reads, and acknowledges one message of `often`. Returns how many came.
    fn read(&mut self, member: &'static str, often: usize) -> usize {
        let Some(guest) = self.here.get_mut(member) else { return 0 };
        let events = self.world.events(guest);
        for event in &events {
            let id = match event {
                Event::Deliver(delivery) => {
                    self.seen(member, delivery);
                    delivery.id.unwrap()
                }
                Event::Release(id) => *id,
                other => panic!("{other:?}"),
            };
            if self.chance.below(often) > 0 {
                continue;
            }
            if let Event::Deliver(delivery) = event {
                assert!(self.done.insert(text(delivery)));
            }
            self.here.get_mut(member).unwrap().session.ack(id, Ack::Complete);
        }
        events.len()
    }

    fn seen(&mut self, member: &'static str, delivery: &Delivery) {
        let payload = text(delivery);
        assert!(!self.done.contains(&payload), "{payload} came to {member} though it was done");
        if delivery.qos == Qos::ExactlyOnce {
            let first = *self.begun.entry(payload.clone()).or_insert(member);
            assert_eq!(first, member, "{payload} was begun with another"); // [MQTT-4.8.2-5]
        }
    }
}

#[test]
fn members_that_come_and_go_lose_no_message_and_double_none() {
    for seed in 0..100 {
        let mut game = Game::new(seed);
        let mut writer = game.world.connect("writer");
        for _ in 0..400 {
            game.step(&mut writer);
        }
        for member in MEMBERS {
            game.come(member);
        }
        while MEMBERS.iter().map(|member| game.read(member, 1)).sum::<usize>() > 0 {}
        assert_eq!(game.done, game.sent, "seed {seed}");
        assert_eq!(game.world.broker.stats().dropped, []);
    }
}
