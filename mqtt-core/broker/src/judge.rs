use std::sync::Arc;
use std::time::Instant;

use bus::{Judgement, Publish, Qos, Reason, Right, Topic};

use crate::Answer;
use crate::access::{Access, Client, Permission};
use crate::broker::Shared;
use crate::delayed::is_delayed;

impl Shared {
    /// What is to be said of a right. Whoever may publish is found as for a publish, interceptors included; that a
    /// client may not read is told to nobody, as it has not tried.
    pub(crate) fn judge_right(
        self: &Arc<Self>,
        client: &Arc<Client>,
        right: Right,
        now: Instant,
    ) -> Answer<Judgement> {
        match right {
            Right::Publish(topic) => self.judge_publish(client, topic, now),
            Right::Name(topic) => {
                let mut publish = probe(topic);
                let named = self.interpret(client, &mut publish);
                Answer::Now(self.judgement(publish.topic, named, now))
            }
            Right::Read(topic) => match self.read_topic(client, topic.clone()) {
                Ok(topic) => {
                    let (shared, asked) = (self.clone(), topic.clone());
                    self.authorize(client, Access::Read { topic: &asked }).map(move |permission| {
                        let allowed = match permission {
                            Permission::Allow | Permission::AllowFiltered => Ok(()),
                            Permission::Deny => Err(Reason::NotAuthorized),
                        };
                        shared.judgement(topic, allowed, now)
                    })
                }
                Err(reason) => Answer::Now(Judgement { topic, allowed: Err(reason), retained: false }),
            },
        }
    }

    fn judge_publish(
        self: &Arc<Self>,
        client: &Arc<Client>,
        topic: Topic,
        now: Instant,
    ) -> Answer<Judgement> {
        let mut publish = probe(topic);
        let possible = match self.interpret(client, &mut publish) {
            Ok(()) if is_delayed(&publish.topic) => Err(Reason::TopicInvalid), // of now nothing is to be said
            Ok(()) => Ok(()),
            Err(reason) => Err(reason),
        };
        let topic = publish.topic.clone();
        if let Err(reason) = possible {
            return Answer::Now(Judgement { topic, allowed: Err(reason), retained: false });
        }
        let shared = self.clone();
        self.review(client, publish, false).map(move |reviewed| {
            let allowed = reviewed.and_then(|publish| shared.check(&publish));
            shared.judgement(topic, allowed, now)
        })
    }

    fn judgement(self: &Arc<Self>, topic: Topic, allowed: Result<(), Reason>, now: Instant) -> Judgement {
        let found = self.retained.read(&topic, now);
        let retained = found.is_some_and(|found| self.is_rightful(&found));
        Judgement { topic, allowed, retained }
    }
}

/// What stands for whatever may be published on the topic.
fn probe(topic: Topic) -> Publish {
    Publish::new(topic, bytes::Bytes::new(), Qos::AtMostOnce).retained()
}
