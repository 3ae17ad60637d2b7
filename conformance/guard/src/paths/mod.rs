//! The main ways of a message through the server.

pub(crate) mod gateways;
mod mqtt;

/// One way of a message, to be gone again and again.
pub struct Path {
    /// Its name in the budgets.
    pub name: &'static str,
    /// How many messages a round carries: counted where they are delivered, if they are.
    pub messages: u64,
    /// How many rounds tell what one costs; as many are gone before, so that every table has its size.
    pub rounds: u64,
    /// Makes a server with its peers, and returns what goes one round and tells how many messages arrived.
    pub set_out: fn() -> Round,
}

/// Goes one round; returns how many messages arrived.
pub type Round = Box<dyn FnMut() -> u64>;

/// Every path.
pub fn all() -> Vec<Path> {
    mqtt::paths().into_iter().chain(gateways::paths()).collect()
}

/// Goes the rounds of a path that are measured. What `valgrind` counts, it counts in here.
#[inline(never)]
pub fn measured(round: &mut Round, rounds: u64) -> u64 {
    (0..rounds).map(|_| round()).sum()
}

impl Path {
    /// The server and its peers, after so many rounds that every table has its size.
    pub fn warmed_up(&self) -> Round {
        let mut round = (self.set_out)();
        let arrived: u64 = (0..self.rounds).map(|_| round()).sum();
        self.check(arrived);
        round
    }

    /// How many messages are measured.
    pub fn total(&self) -> u64 {
        self.rounds * self.messages
    }

    /// Makes sure that the path is what it says.
    pub fn check(&self, arrived: u64) {
        assert_eq!(arrived, self.total(), "{}: another number of messages arrived than was sent", self.name);
    }
}
